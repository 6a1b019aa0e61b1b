using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>Outstanding IRPs, as !irp shows them.</summary>
internal sealed class IrpWalk(KernelMemoryReader memory, NtLayout layout, LoadedModules modules, ObjectNames names)
{
    /// <summary>The list of a thread or a file is never longer, in IRPs; a process with more open requests is not the one to diagnose by hand.</summary>
    private const int MostIrps = 4096;

    /// <summary>CurrentLocation and StackCount are CHARs.</summary>
    private const int MostLocations = 127;

    /// <summary>The IRPs on ETHREAD.IrpList.</summary>
    public List<IrpRecord> OfThread(KernelAddress thread) =>
        OnList(thread + layout.EThread.IrpList, "thread", $"the IRP list of thread {thread}");

    /// <summary>The IRPs on FILE_OBJECT.IrpList: those of a file with a completion port belong to no thread.</summary>
    public List<IrpRecord> OfFile(KernelAddress file)
    {
        var head = file + layout.FileObject.IrpList;
        // A file that never had such an IRP may have a list that was never initialised.
        return memory.Pointer(head) is null or { IsNull: true } ? [] : OnList(head, "file", $"the IRP list of file {file}");
    }

    /// <summary>An IRP that was found in pool; null, with a note, when it is none.</summary>
    public IrpRecord? InPool(KernelAddress irp) => Read(irp, "pool", "pool");

    /// <summary>The thread an IRP was sent by, and the file; null pointers where memory has none.</summary>
    public (KernelAddress Thread, KernelAddress File) Sender(KernelAddress irp) =>
        (memory.Pointer(irp + layout.Irp.Thread) ?? KernelAddress.Null, memory.Pointer(irp + layout.Irp.OriginalFileObject) ?? KernelAddress.Null);

    /// <summary>Adds the files an IRP was sent to.</summary>
    public void AddFiles(IrpRecord irp, List<KernelAddress> files)
    {
        Add(memory.Pointer(irp.Address + layout.Irp.OriginalFileObject) ?? KernelAddress.Null);
        foreach (var location in irp.Locations) Add(location.FileObject);

        void Add(KernelAddress file)
        {
            // One request's locations mostly name one file, one after the other.
            if ((files.Count == 0 || files[^1] != file) && names.IsFile(file)) files.Add(file);
        }
    }

    private List<IrpRecord> OnList(KernelAddress head, string list, string what)
    {
        var irps = new List<IrpRecord>();
        foreach (var link in memory.List(head, MostIrps, what).Entries)
            if (Read(link - layout.Irp.ThreadListEntry, list, what) is { } irp) irps.Add(irp);
        return irps;
    }

    private IrpRecord? Read(KernelAddress irp, string list, string what)
    {
        if (memory.UInt16(irp + layout.Irp.Type) is not { } type || memory.UInt16(irp + layout.Irp.Size) is not { } size
            || memory.Byte(irp + layout.Irp.StackCount) is not { } stackCount || memory.Byte(irp + layout.Irp.CurrentLocation) is not { } current
            || memory.Byte(irp + layout.Irp.Cancel) is not { } cancel || memory.Pointer(irp + layout.Irp.CancelRoutine) is not { } cancelRoutine
            || memory.Pointer(irp + layout.Irp.Thread) is not { } thread)
        {
            memory.Note($"{what}: the IRP {irp} is not in memory");
            return null;
        }

        if (type != IrpLayout.TypeCode || size < layout.Irp.SizeInBytes)
        {
            memory.Note($"{what}: {irp} is not an IRP (type {type}, {size} bytes)");
            return null;
        }

        var there = (int)Math.Min((size - layout.Irp.SizeInBytes) / layout.StackLocation.SizeInBytes, MostLocations);
        if (stackCount > there) memory.Note($"{what}: the IRP {irp} says it has {stackCount} stack locations, but is large enough for {there}");
        var count = Math.Min(stackCount, there);
        // IoCompleteRequest leaves it one above the one above the top.
        if (current == 0 || current > stackCount + 2) memory.Note($"{what}: the current location of the IRP {irp} is {current} of {stackCount}");
        CheckCurrentPointer(irp, current, count, what);

        var locations = new List<IrpLocation>(count);
        for (var number = count; number >= 1; number--)
        {
            if (Location(irp, number, number == current) is { } location) locations.Add(location);
            else memory.Note($"{what}: stack location {number} of the IRP {irp} is not in memory");
        }

        var held = locations.Find(location => location.Current);
        if (held is { Driver: null }) memory.Note($"{what}: the driver that holds the IRP {irp} cannot be told");
        return new IrpRecord(irp, list, cancel != 0, Routine(cancelRoutine), stackCount, current, thread, locations, held?.Driver, held?.Device)
        {
            Size = size,
            Flags = memory.UInt32(irp + layout.Irp.Flags) ?? 0,
            DeviceStack = held is null ? null : names.StackOf(held.DeviceAddress),
        };
    }

    /// <summary>Tail.Overlay.CurrentStackLocation and CurrentLocation say the same in a sound IRP: drivers move both inline.</summary>
    private void CheckCurrentPointer(KernelAddress irp, int current, int count, string what)
    {
        if (current < 1 || current > count) return;
        var expected = LocationAddress(irp, current);
        if (memory.Pointer(irp + layout.Irp.CurrentStackLocation) is { } pointer && pointer != expected)
            memory.Note($"{what}: the IRP {irp} has its current location at {pointer}, but number {current} is at {expected}");
    }

    private KernelAddress LocationAddress(KernelAddress irp, int number) =>
        irp + layout.Irp.SizeInBytes + ((ulong)(number - 1) * layout.StackLocation.SizeInBytes);

    private IrpLocation? Location(KernelAddress irp, int number, bool current)
    {
        var at = LocationAddress(irp, number);
        if (memory.Byte(at + layout.StackLocation.MajorFunction) is not { } major || memory.Byte(at + layout.StackLocation.MinorFunction) is not { } minor
            || memory.Byte(at + layout.StackLocation.Flags) is not { } flags || memory.Byte(at + layout.StackLocation.Control) is not { } control
            || memory.Pointer(at + layout.StackLocation.DeviceObject) is not { } device || memory.Pointer(at + layout.StackLocation.FileObject) is not { } file
            || memory.Pointer(at + layout.StackLocation.CompletionRoutine) is not { } completion || memory.Pointer(at + layout.StackLocation.Context) is not { } context)
            return null;

        var arguments = new KernelAddress[4];
        for (var i = 0; i < arguments.Length; i++)
        {
            if (memory.Pointer(at + layout.StackLocation.Parameters + ((uint)i * StackLocationLayout.ArgumentStride)) is not { } argument) return null;
            arguments[i] = argument;
        }

        // Parameters.FileSystemControl.FsControlCode lies where DeviceIoControl.IoControlCode does (wdm.h, ntifs.h).
        uint? ioctl = (IrpMajor)major is IrpMajor.DeviceControl or IrpMajor.InternalDeviceControl or IrpMajor.FileSystemControl
            ? memory.UInt32(at + layout.StackLocation.IoControlCode) : null;
        return new IrpLocation(number, current, (IrpMajor)major, minor, ioctl, (control & StackLocationLayout.PendingReturned) != 0,
            device, names.Device(device), names.DriverOfDevice(device), file, Routine(completion))
        {
            Flags = flags,
            Control = control,
            Arguments = arguments,
            Context = context,
        };
    }

    private string? Routine(KernelAddress routine) => routine.IsNull ? null : modules.FileOffset(routine);
}
