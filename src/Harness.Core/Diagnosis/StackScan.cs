using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// Searches a stack for return addresses where unwind information is missing. What it finds may have been left by an earlier call: it is a guess, and
/// whoever uses it says so.
/// </summary>
internal sealed class StackScan(KernelMemoryReader memory, LoadedModules modules)
{
    /// <summary>From a frame that could not be unwound to the next that something called: its registers, RBP and the others unknown. Null: there is none.</summary>
    /// <param name="from">RSP of the frame.</param>
    /// <param name="stack">The stack's bounds.</param>
    public UnwindRegisters? Next(KernelAddress from, StackBounds stack)
    {
        for (var at = new KernelAddress((from.Value + 7) & ~7UL); stack.Contains(at); at += 8)
            if (memory.Pointer(at) is { IsKernel: true } value && modules.Containing(value) is { } module && IsReturnAddress(module, value))
                return new UnwindRegisters(value, at + 8);
        return null;
    }

    /// <summary>It lies after a call, and, where the module's function table can be asked, in a function.</summary>
    private bool IsReturnAddress(LoadedModule module, KernelAddress value)
    {
        var image = modules.Image(module);
        if (image.HasFunctions && image.Function((uint)(value.Value - module.Base.Value)) is null && image.IsReadable) return false;
        Span<byte> before = stackalloc byte[7];
        return value.Value - module.Base.Value >= (ulong)before.Length && memory.TryRead(value - (ulong)before.Length, before) && EndsWithCall(before);
    }

    /// <summary>CALL rel32 is E8; CALL r/m64 is FF /2 with a ModRM byte, maybe a SIB byte, and no, 8 or 32 bits of displacement (Intel SDM volume 2).</summary>
    private static bool EndsWithCall(ReadOnlySpan<byte> code)
    {
        if (code[^5] == 0xE8) return true;
        for (var length = 2; length <= 7; length++)
        {
            var modRm = code[^(length - 1)];
            if (code[^length] != 0xFF || (modRm >> 3 & 7) != 2) continue;
            var (mode, rm) = (modRm >> 6, modRm & 7);
            var sib = mode != 3 && rm == 4 ? 1 : 0;
            // Without a base register a displacement of 32 bits follows.
            var noBase = mode == 0 && (rm == 5 || (sib == 1 && (code[^(length - 2)] & 7) == 5));
            var displacement = mode == 1 ? 1 : mode == 2 || noBase ? 4 : 0;
            if (length == 2 + sib + displacement) return true;
        }

        return false;
    }
}
