using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// Walks kernel stacks of x64 as a debugger does: by the functions' unwind information (.pdata, .xdata), read from where the images are
/// mapped. Nobody tells it what the stack is; a frame it shows is one the memory holds.
/// </summary>
public sealed class StackUnwinder
{
    /// <summary>No walk is longer, in frames.</summary>
    public const int MostFrames = 128;

    private const uint LargestStack = 0x10_0000;

    private readonly KernelMemoryReader _memory;
    private readonly NtLayout _layout;
    private readonly LoadedModules _modules;
    private readonly UnwindCodes _codes;
    private readonly StackScan _scan;

    internal StackUnwinder(KernelMemoryReader memory, NtLayout layout, LoadedModules modules)
    {
        _memory = memory;
        _layout = layout;
        _modules = modules;
        _codes = new UnwindCodes(memory);
        _scan = new StackScan(memory, modules);
    }

    /// <summary>
    /// The kernel stack of a thread that does not run, innermost frame first: from the KSWITCH_FRAME at KTHREAD.KernelStack to where the
    /// thread came from user mode, or to where it began. Above a frame that cannot be unwound, what looks like a return address is shown
    /// instead (<see cref="StackFrame.Guessed"/>), with a note.
    /// </summary>
    /// <param name="thread">ETHREAD.</param>
    public IReadOnlyList<StackFrame> OfThread(KernelAddress thread)
    {
        if (Bounds(thread) is not { } bounds) return [];
        if (_memory.Pointer(thread + _layout.KThread.KernelStack) is not { } frame || !bounds.Contains(frame))
        {
            _memory.Note($"thread {thread}: its KernelStack is not in its stack {bounds.Low}…{bounds.High}");
            return [];
        }

        if (_memory.Pointer(frame + _layout.SwitchFrame.Return) is not { } rip || _memory.UInt64(frame + _layout.SwitchFrame.Rbp) is not { } rbp)
        {
            _memory.Note($"thread {thread}: its stack at {frame} is not in memory");
            return [];
        }

        var registers = new UnwindRegisters(rip, frame + _layout.SwitchFrame.SizeInBytes) { [UnwindRegisters.RbpNumber] = rbp };
        return From(registers, bounds, mayBeLeaf: false, $"thread {thread}");
    }

    /// <summary>The stack of code that runs or was interrupted with these registers, innermost frame first.</summary>
    /// <param name="registers">RIP and RSP, and as many others as are known.</param>
    /// <param name="low">The lowest address of the stack.</param>
    /// <param name="high">The first address above it.</param>
    public IReadOnlyList<StackFrame> From(UnwindRegisters registers, KernelAddress low, KernelAddress high) =>
        From(registers.Copy(), new StackBounds(low, high), mayBeLeaf: true, $"the stack at {registers.Rsp}");

    /// <summary>
    /// From a frame to its caller's, as RtlVirtualUnwind does it: <paramref name="registers"/> become the caller's. A function without
    /// unwind information, and code outside of any module, is a leaf: its return address is on top of the stack.
    /// </summary>
    /// <param name="registers">In: of the frame, all known. Out: of the caller; undefined when the answer is null.</param>
    /// <param name="why">When null is returned: one clause.</param>
    public UnwoundFrame? Unwind(UnwindRegisters registers, out string why)
    {
        ArgumentNullException.ThrowIfNull(registers);
        var mayBeLeaf = true;
        var rip = registers.Rip;
        why = "";
        if (_modules.Containing(rip) is not { } module)
        {
            if (!TryReturn(registers, out why)) return null;
            return new UnwoundFrame(KernelAddress.Null, null, registers.Rsp - 8, null);
        }

        var entry = _modules.Image(module).EntryOf((uint)(rip.Value - module.Base.Value));
        var rsp = registers.Rsp;
        if (!TryStep(module, registers, ref mayBeLeaf, out var establisher, out why)) return null;
        // In a leaf, and in an epilogue, the frame is where RSP is.
        return new UnwoundFrame(module.Base, entry, establisher?.Frame ?? rsp, establisher?.Handler);
    }

    /// <summary>Where the function table has the RUNTIME_FUNCTION for an address, and that module's base; null for a leaf and outside of code.</summary>
    public (KernelAddress Entry, KernelAddress ImageBase)? FunctionEntry(KernelAddress address) =>
        _modules.Containing(address) is { } module && _modules.Image(module).EntryOf((uint)(address.Value - module.Base.Value)) is { } entry ? (entry, module.Base) : null;

    /// <summary>KTHREAD.StackLimit and StackBase; null, with a note, when they cannot be those of a stack.</summary>
    internal StackBounds? Bounds(KernelAddress thread)
    {
        if (BoundsIfSound(thread) is { } bounds) return bounds;
        _memory.Note($"thread {thread}: its stack bounds cannot be read");
        return null;
    }

    /// <summary>The same without a note: a thread that has ended has given its stack back.</summary>
    internal StackBounds? BoundsIfSound(KernelAddress thread) =>
        _memory.Pointer(thread + _layout.KThread.StackLimit) is { IsKernel: true } low
        && _memory.Pointer(thread + _layout.KThread.StackBase) is { IsKernel: true } high
        && high.Value > low.Value && high.Value - low.Value <= LargestStack ? new StackBounds(low, high) : null;

    private List<StackFrame> From(UnwindRegisters registers, StackBounds stack, bool mayBeLeaf, string whose)
    {
        var frames = new List<StackFrame>();
        var guessed = false;
        while (registers.Rip.IsKernel)
        {
            if (!stack.Contains(registers.Rsp) && registers.Rsp != stack.High)
            {
                _memory.Note($"{whose}: the walk left the stack at {registers.Rsp}");
                break;
            }

            if (frames.Count == MostFrames)
            {
                _memory.Note($"{whose}: it has more than {MostFrames} frames");
                break;
            }

            var module = _modules.Containing(registers.Rip);
            frames.Add(new StackFrame(registers.Rip, registers.Rsp, _modules.Name(registers.Rip), _modules.FileOf(registers.Rip)) { Guessed = guessed });
            var before = registers.Rsp;
            var why = "it is in no module";
            if (module is null || !TryStep(module, registers, ref mayBeLeaf, out _, out why))
            {
                _memory.Note($"{whose}: the frame {frames[^1].Name} could not be unwound: {why}");
                if (_scan.Next(before, stack) is not { } found) break;
                (guessed, mayBeLeaf) = (true, false);
                registers = found;
            }

            // Every call left something on the stack, so a caller's RSP is higher; this also ends a walk in circles.
            if (registers.Rip.IsKernel && registers.Rsp.Value <= before.Value)
            {
                _memory.Note($"{whose}: the frame {frames[^1].Name} leads down the stack");
                break;
            }
        }

        return frames;
    }

    /// <summary>From a frame to its caller's. <paramref name="mayBeLeaf"/>: no call was made from here, so a function without unwind information is no surprise.</summary>
    private bool TryStep(LoadedModule module, UnwindRegisters registers, ref bool mayBeLeaf, out EstablisherFrame? establisher, out string why)
    {
        establisher = null;
        var image = _modules.Image(module);
        var rva = (uint)(registers.Rip.Value - module.Base.Value);
        var interrupted = false;
        why = "";
        if (image.Function(rva) is { } function)
        {
            var offset = rva - function.Begin;
            if (!_codes.IsInPrologue(image, function, offset) && Epilogue.TryFinish(_memory, module, image, function, registers))
            {
                mayBeLeaf = false;
                return true;
            }

            if (!_codes.TryApply(image, function, offset, registers, out interrupted, out var established, out why)) return false;
            establisher = established;
        }
        else if (!image.IsReadable)
        {
            why = $"the function table of {module.FileName} is not in memory";
            return false;
        }
        else if (!mayBeLeaf)
        {
            why = "it called something, and has no unwind information";
            return false;
        }

        mayBeLeaf = interrupted;
        return interrupted || TryReturn(registers, out why);
    }

    private bool TryReturn(UnwindRegisters registers, out string why)
    {
        why = "";
        if (_memory.Pointer(registers.Rsp) is not { } returnAddress)
        {
            why = $"its stack at {registers.Rsp} is not in memory";
            return false;
        }

        registers.Rip = returnAddress;
        registers.Rsp += 8;
        return true;
    }
}

/// <summary>A kernel stack: from the lowest address to the first above it.</summary>
internal readonly record struct StackBounds(KernelAddress Low, KernelAddress High)
{
    public bool Contains(KernelAddress address) => address.Value >= Low.Value && address.Value < High.Value;
}
