using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>What a thread waits for: the dispatcher object of its first wait block, and whose part it is.</summary>
internal sealed class WaitWalk(KernelMemoryReader memory, NtLayout layout, LoadedModules modules, ObjectNames names, StackUnwinder stacks)
{
    // KOBJECTS of public symbols and the ReactOS NDK; wdm.h gives the lock bit's place in the type byte.
    private const byte ProcessObject = 3;
    private const byte ThreadObject = 6;
    private const byte NotificationTimer = 8;
    private const byte SynchronizationTimer = 9;
    private const byte LockBit = 0x80;

    /// <summary>Null when the thread waits for nothing that can be shown; what is wrong then is noted.</summary>
    /// <param name="thread">ETHREAD of a waiting thread.</param>
    /// <param name="reason">Its wait reason: a delay has no object but the thread's own timer.</param>
    /// <param name="irps">Its outstanding IRPs, whose events are the likeliest to be waited for.</param>
    /// <param name="siblings">The threads of its process.</param>
    public WaitObject? Of(KernelAddress thread, WaitReason reason, IReadOnlyList<IrpRecord> irps, IReadOnlyList<KernelAddress> siblings)
    {
        var delay = reason is WaitReason.DelayExecution or WaitReason.WrDelayExecution;
        if (memory.Pointer(thread + layout.KThread.WaitBlockList) is not { } block) return Unreadable(thread, "wait block list");
        if (block.IsNull && delay) return null;
        if (memory.Pointer(block + layout.WaitBlock.Object) is not { } at || memory.Pointer(block + layout.WaitBlock.Thread) is not { } waiter)
            return delay ? null : Unreadable(thread, "wait block");
        if (delay && !IsIn(thread, at)) return null;
        if (waiter != thread)
        {
            memory.Note($"thread {thread}: its wait block {block} is that of {waiter}");
            return null;
        }

        if (memory.Byte(at + layout.DispatcherHeader.Type) is not { } type) return Unreadable(thread, $"wait object {at}");
        type = (byte)(type & ~LockBit);
        return new WaitObject(at, TypeName(type), Owner(thread, at, type, irps, siblings));
    }

    private WaitObject? Unreadable(KernelAddress thread, string what)
    {
        memory.Note($"thread {thread}: its {what} is not in memory");
        return null;
    }

    private static string TypeName(byte type) => type switch
    {
        0 => "NotificationEvent",
        1 => "SynchronizationEvent",
        2 => "Mutant",
        ProcessObject => "Process",
        4 => "Queue",
        5 => "Semaphore",
        ThreadObject => "Thread",
        7 => "Gate",
        NotificationTimer or SynchronizationTimer => "Timer",
        _ => "type " + HexText.Of(type),
    };

    private string? Owner(KernelAddress thread, KernelAddress at, byte type, IReadOnlyList<IrpRecord> irps, IReadOnlyList<KernelAddress> siblings) =>
        type switch
        {
            ProcessObject => $"Process {at} {memory.AsciiString(at + layout.EProcess.ImageFileName, EProcessLayout.ImageFileNameLength)}",
            ThreadObject => $"Thread {at}",
            _ => PartOfThread(thread, at, type) ?? PartOfFile(at) ?? PartOfIrp(at, irps) ?? PartOfDevice(at, irps)
                ?? (modules.Containing(at) is null ? null : modules.FileOffset(at)) ?? OnStack(thread, at, siblings),
        };

    private bool IsIn(KernelAddress thread, KernelAddress at) => at.Value >= thread.Value && at.Value - thread.Value < layout.EThread.SizeInBytes;

    private string? PartOfThread(KernelAddress thread, KernelAddress at, byte type) =>
        !IsIn(thread, at) ? null : $"Thread {thread} ({(type is NotificationTimer or SynchronizationTimer ? "Timer" : "+" + HexText.Of(at.Value - thread.Value))})";

    /// <summary>The file need not be reached by an IRP: a thread that waits for a synchronous file's lock has none, and an abandoned IRP is on no list.</summary>
    private string? PartOfFile(KernelAddress at)
    {
        if (names.IsFile(at - layout.FileObject.Event)) return names.File(at - layout.FileObject.Event) + " (Event)";
        return names.IsFile(at - layout.FileObject.Lock) ? names.File(at - layout.FileObject.Lock) + " (Lock)" : null;
    }

    private string? PartOfIrp(KernelAddress at, IReadOnlyList<IrpRecord> irps)
    {
        foreach (var irp in irps)
            if (memory.Pointer(irp.Address + layout.Irp.UserEvent) == at) return $"IRP {irp.Address} (UserEvent)";
        return null;
    }

    /// <summary>IoCreateDevice puts the device extension right after the DEVICE_OBJECT; Size counts both.</summary>
    private string? PartOfDevice(KernelAddress at, IReadOnlyList<IrpRecord> irps)
    {
        foreach (var irp in irps)
            foreach (var location in irp.Locations)
                if (PartOfDevice(at, location.DeviceAddress) is { } part) return part;
        return null;
    }

    private string? PartOfDevice(KernelAddress at, KernelAddress device)
    {
        if (at.Value < device.Value || !names.IsDevice(device) || memory.UInt16(device + layout.DeviceObject.Size) is not { } size || at.Value - device.Value >= size) return null;
        var offset = at.Value - device.Value;
        var place = offset < layout.DeviceObject.SizeInBytes ? "+" + HexText.Of(offset) : "extension+" + HexText.Of(offset - layout.DeviceObject.SizeInBytes);
        return $"Device {device} {names.Device(device)} ({place})";
    }

    private string? OnStack(KernelAddress thread, KernelAddress at, IReadOnlyList<KernelAddress> siblings)
    {
        if (IsOnStackOf(thread)) return $"the stack of thread {thread}";
        foreach (var sibling in siblings)
            if (IsOnStackOf(sibling)) return $"the stack of thread {sibling}";
        return null;

        bool IsOnStackOf(KernelAddress owner) => stacks.BoundsIfSound(owner) is { } stack && stack.Contains(at);
    }
}
