namespace Harness.Core.Nt;

// What the I/O manager, the object manager and the processor leave in memory. Property names are NT's field names.

/// <summary>_IRP. The members of its unions are wdm.h's and the same in every build.</summary>
public sealed class IrpLayout(LayoutFields irp, LayoutFields members)
{
    /// <summary>The structure's size in bytes; the stack locations follow it.</summary>
    public uint SizeInBytes { get; } = irp.Size();

    public uint Type { get; } = irp.Offset();
    public uint Size { get; } = irp.Offset();
    public uint MdlAddress { get; } = irp.Offset();
    public uint Flags { get; } = irp.Offset();
    public uint AssociatedIrp { get; } = irp.Offset();
    public uint ThreadListEntry { get; } = irp.Offset();
    public uint IoStatus { get; } = irp.Offset();
    public uint RequestorMode { get; } = irp.Offset();
    public uint PendingReturned { get; } = irp.Offset();
    public uint StackCount { get; } = irp.Offset();
    public uint CurrentLocation { get; } = irp.Offset();
    public uint Cancel { get; } = irp.Offset();
    public uint CancelIrql { get; } = irp.Offset();
    public uint ApcEnvironment { get; } = irp.Offset();
    public uint AllocationFlags { get; } = irp.Offset();
    public uint UserIosb { get; } = irp.Offset();
    public uint UserEvent { get; } = irp.Offset();
    public uint Overlay { get; } = irp.Offset();
    public uint CancelRoutine { get; } = irp.Offset();
    public uint UserBuffer { get; } = irp.Offset();
    public uint Tail { get; } = irp.Offset();

    /// <summary>Overlay.AsynchronousParameters.UserApcRoutine.</summary>
    public uint UserApcRoutine { get; } = members.Offset("Overlay.AsynchronousParameters.UserApcRoutine");

    /// <summary>Overlay.AsynchronousParameters.UserApcContext.</summary>
    public uint UserApcContext { get; } = members.Offset("Overlay.AsynchronousParameters.UserApcContext");

    /// <summary>Tail.Overlay.DriverContext.</summary>
    public uint DriverContext { get; } = members.Offset("Tail.Overlay.DriverContext");

    /// <summary>Tail.Overlay.Thread.</summary>
    public uint Thread { get; } = members.Offset("Tail.Overlay.Thread");

    /// <summary>Tail.Overlay.AuxiliaryBuffer.</summary>
    public uint AuxiliaryBuffer { get; } = members.Offset("Tail.Overlay.AuxiliaryBuffer");

    /// <summary>Tail.Overlay.ListEntry.</summary>
    public uint ListEntry { get; } = members.Offset("Tail.Overlay.ListEntry");

    /// <summary>Tail.Overlay.CurrentStackLocation.</summary>
    public uint CurrentStackLocation { get; } = members.Offset("Tail.Overlay.CurrentStackLocation");

    /// <summary>Tail.Overlay.OriginalFileObject.</summary>
    public uint OriginalFileObject { get; } = members.Offset("Tail.Overlay.OriginalFileObject");

    /// <summary>IO_TYPE_IRP (wdm.h).</summary>
    public const ushort TypeCode = 6;
}

/// <summary>_IO_STACK_LOCATION. The members of Parameters are wdm.h's and the same in every build.</summary>
public sealed class StackLocationLayout(LayoutFields location, LayoutFields members)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = location.Size();

    public uint MajorFunction { get; } = location.Offset();
    public uint MinorFunction { get; } = location.Offset();
    public uint Flags { get; } = location.Offset();
    public uint Control { get; } = location.Offset();
    public uint Parameters { get; } = location.Offset();
    public uint DeviceObject { get; } = location.Offset();
    public uint FileObject { get; } = location.Offset();
    public uint CompletionRoutine { get; } = location.Offset();
    public uint Context { get; } = location.Offset();

    /// <summary>Parameters.DeviceIoControl.OutputBufferLength.</summary>
    public uint OutputBufferLength { get; } = members.Offset("Parameters.DeviceIoControl.OutputBufferLength");

    /// <summary>Parameters.DeviceIoControl.InputBufferLength.</summary>
    public uint InputBufferLength { get; } = members.Offset("Parameters.DeviceIoControl.InputBufferLength");

    /// <summary>Parameters.DeviceIoControl.IoControlCode.</summary>
    public uint IoControlCode { get; } = members.Offset("Parameters.DeviceIoControl.IoControlCode");

    /// <summary>Parameters.DeviceIoControl.Type3InputBuffer.</summary>
    public uint Type3InputBuffer { get; } = members.Offset("Parameters.DeviceIoControl.Type3InputBuffer");

    /// <summary>Bytes from one of Parameters.Others.Argument1…4 to the next.</summary>
    public const uint ArgumentStride = 8;

    /// <summary>SL_PENDING_RETURNED in Control (wdm.h).</summary>
    public const byte PendingReturned = 0x01;
}

/// <summary>_DEVICE_OBJECT.</summary>
public sealed class DeviceObjectLayout(LayoutFields device)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = device.Size();

    public uint Type { get; } = device.Offset();
    public uint Size { get; } = device.Offset();
    public uint ReferenceCount { get; } = device.Offset();
    public uint DriverObject { get; } = device.Offset();
    public uint NextDevice { get; } = device.Offset();
    public uint AttachedDevice { get; } = device.Offset();
    public uint CurrentIrp { get; } = device.Offset();
    public uint Flags { get; } = device.Offset();
    public uint Characteristics { get; } = device.Offset();
    public uint Vpb { get; } = device.Offset();
    public uint DeviceExtension { get; } = device.Offset();
    public uint DeviceType { get; } = device.Offset();
    public uint StackSize { get; } = device.Offset();
    public uint Queue { get; } = device.Offset();
    public uint DeviceObjectExtension { get; } = device.Offset();

    /// <summary>DEVOBJ_EXTENSION.AttachedTo, the device below, from <see cref="DeviceObjectExtension"/> (public symbols; the same in every build).</summary>
    public const uint AttachedTo = 0x30;

    /// <summary>IO_TYPE_DEVICE (wdm.h).</summary>
    public const ushort TypeCode = 3;
}

/// <summary>_DRIVER_OBJECT.</summary>
public sealed class DriverObjectLayout(LayoutFields driver)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = driver.Size();

    public uint Type { get; } = driver.Offset();
    public uint Size { get; } = driver.Offset();
    public uint DeviceObject { get; } = driver.Offset();
    public uint Flags { get; } = driver.Offset();
    public uint DriverStart { get; } = driver.Offset();
    public uint DriverSize { get; } = driver.Offset();
    public uint DriverSection { get; } = driver.Offset();
    public uint DriverExtension { get; } = driver.Offset();
    public uint DriverName { get; } = driver.Offset();
    public uint HardwareDatabase { get; } = driver.Offset();
    public uint DriverInit { get; } = driver.Offset();
    public uint DriverStartIo { get; } = driver.Offset();
    public uint DriverUnload { get; } = driver.Offset();
    public uint MajorFunction { get; } = driver.Offset();

    /// <summary>IO_TYPE_DRIVER (wdm.h).</summary>
    public const ushort TypeCode = 4;
}

/// <summary>_FILE_OBJECT.</summary>
public sealed class FileObjectLayout(LayoutFields file)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = file.Size();

    public uint Type { get; } = file.Offset();
    public uint Size { get; } = file.Offset();
    public uint DeviceObject { get; } = file.Offset();
    public uint Vpb { get; } = file.Offset();
    public uint FsContext { get; } = file.Offset();
    public uint Flags { get; } = file.Offset();
    public uint FileName { get; } = file.Offset();
    public uint Busy { get; } = file.Offset();
    public uint Waiters { get; } = file.Offset();
    public uint Event { get; } = file.Offset();
    public uint Lock { get; } = file.Offset();
    public uint IrpList { get; } = file.Offset();
    public uint IrpListLock { get; } = file.Offset();

    /// <summary>IO_TYPE_FILE (wdm.h).</summary>
    public const ushort TypeCode = 5;
}

/// <summary>_OBJECT_HEADER: lies right before an object, optional headers before it.</summary>
public sealed class ObjectHeaderLayout(LayoutFields header)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = header.Size();

    public uint PointerCount { get; } = header.Offset();
    public uint HandleCount { get; } = header.Offset();
    public uint TypeIndex { get; } = header.Offset();
    public uint InfoMask { get; } = header.Offset();
    public uint Body { get; } = header.Offset();

    /// <summary>InfoMask bit of OBJECT_HEADER_CREATOR_INFO, the optional header nearest to OBJECT_HEADER, and its size in bytes (public symbols).</summary>
    public const byte CreatorInfo = 0x1;
    public const uint CreatorInfoSize = 0x20;

    /// <summary>InfoMask bit of OBJECT_HEADER_NAME_INFO, the next one, and its size in bytes (public symbols).</summary>
    public const byte NameInfo = 0x2;
    public const uint NameInfoSize = 0x20;

    /// <summary>OBJECT_HEADER_NAME_INFO.Directory and .Name (a UNICODE_STRING).</summary>
    public const uint NameInfoDirectory = 0;
    public const uint NameInfoName = 8;

    /// <summary>How far before OBJECT_HEADER its OBJECT_HEADER_NAME_INFO begins, in bytes; null when the object has no name.</summary>
    public static uint? NameInfoBefore(byte infoMask) =>
        (infoMask & NameInfo) == 0 ? null : NameInfoSize + ((infoMask & CreatorInfo) == 0 ? 0 : CreatorInfoSize);
}

/// <summary>_KLDR_DATA_TABLE_ENTRY, the entries of PsLoadedModuleList.</summary>
public sealed class LoadedModuleLayout(LayoutFields entry)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = entry.Size();

    public uint InLoadOrderLinks { get; } = entry.Offset();
    public uint DllBase { get; } = entry.Offset();
    public uint EntryPoint { get; } = entry.Offset();
    public uint SizeOfImage { get; } = entry.Offset();
    public uint FullDllName { get; } = entry.Offset();
    public uint BaseDllName { get; } = entry.Offset();
    public uint TimeDateStamp { get; } = entry.Offset();
    public uint CheckSum { get; } = entry.Offset();

    /// <summary>DllBase, before the build is known: the same in every build of the table (public symbols).</summary>
    public const uint DllBaseOfEveryBuild = 0x30;
}

/// <summary>_KPRCB.</summary>
public sealed class PrcbLayout(LayoutFields prcb)
{
    public uint CurrentThread { get; } = prcb.Offset();
    public uint NextThread { get; } = prcb.Offset();
    public uint IdleThread { get; } = prcb.Offset();
    public uint Number { get; } = prcb.Offset();
    public uint? ProcessorState { get; } = prcb.OffsetIfKnown();
    public uint? Context { get; } = prcb.OffsetIfKnown();
}

/// <summary>_KTRAP_FRAME.</summary>
public sealed class TrapFrameLayout(LayoutFields trap)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = trap.Size();

    public uint PreviousMode { get; } = trap.Offset();
    public uint Rax { get; } = trap.Offset();
    public uint Rcx { get; } = trap.Offset();
    public uint Rbp { get; } = trap.Offset();
    public uint ErrorCode { get; } = trap.Offset();
    public uint Rip { get; } = trap.Offset();
    public uint SegCs { get; } = trap.Offset();
    public uint EFlags { get; } = trap.Offset();
    public uint Rsp { get; } = trap.Offset();
}

/// <summary>KSWITCH_FRAME: what SwapContext leaves on the stack of a thread that does not run. RSP goes on right after it.</summary>
public sealed class SwitchFrameLayout(LayoutFields frame)
{
    /// <summary>The structure's size in bytes.</summary>
    public uint SizeInBytes { get; } = frame.Size();

    public uint P1Home { get; } = frame.Offset();
    public uint ApcBypass { get; } = frame.Offset();
    public uint Rbp { get; } = frame.Offset();
    public uint Return { get; } = frame.Offset();
}
