namespace Harness.Core.Nt;

/// <summary>
/// Hook ids of kernel events: the group in the high byte, the type (opcode) in the low one. Sources: phnt's ntwmi.h, Geoff Chappell's study of
/// hook ids, the Windows SDK's event classes, and real files.
/// </summary>
public static class KernelTraceEvents
{
    public const ushort Header = 0x0000;
    public const ushort Extension = 0x0005;
    public const ushort RundownComplete = 0x0008;
    public const ushort EndExtension = 0x0020;

    /// <summary>36 bytes: u32 major, u32 minor function, u64 routine, u64 file object, u64 IRP, u32 UniqMatchId.</summary>
    public const ushort DriverMajorFunctionCall = 0x0122;

    /// <summary>12 bytes: u64 IRP, u32 UniqMatchId of the call.</summary>
    public const ushort DriverMajorFunctionReturn = 0x0123;

    /// <summary>20 bytes: u64 routine, u64 IRP, u32 UniqMatchId.</summary>
    public const ushort DriverCompletionRoutine = 0x0125;

    /// <summary>20 bytes: u64 routine of the driver at the current stack location, u64 IRP, u32 UniqMatchId.</summary>
    public const ushort DriverCompleteRequest = 0x0134;

    /// <summary>12 bytes: u64 IRP, u32 UniqMatchId of the completion.</summary>
    public const ushort DriverCompleteRequestReturn = 0x0135;

    public const ushort ProcessStart = 0x0301;
    public const ushort ProcessEnd = 0x0302;
    public const ushort ProcessDCStart = 0x0303;
    public const ushort ProcessDCEnd = 0x0304;

    /// <summary>Of the process group, but delivered with the Image class's GUID and opcode 10.</summary>
    public const ushort ImageLoad = 0x030A;

    /// <summary>u32 process id of the victim; the header's process and thread ask for it. Logged when it is asked for.</summary>
    public const ushort ProcessTerminate = 0x030B;
    public const ushort ProcessDefunct = 0x0327;

    public const ushort ThreadStart = 0x0501;
    public const ushort ThreadEnd = 0x0502;
    public const ushort ThreadDCStart = 0x0503;
    public const ushort ThreadDCEnd = 0x0504;

    /// <summary>CSwitch: 24 bytes up to version 4, 28 from version 5.</summary>
    public const ushort ContextSwitch = 0x0524;

    /// <summary>u32 thread, u8 AdjustReason, i8 AdjustIncrement, u8 flags, u8 spare.</summary>
    public const ushort ReadyThread = 0x0532;
    public const ushort ThreadSetName = 0x0548;

    public const ushort ImageUnload = 0x1402;
    public const ushort ImageDCStart = 0x1403;
    public const ushort ImageDCEnd = 0x1404;
    public const ushort ImageKernelBase = 0x1421;

    /// <summary>i64 time of the event it belongs to, u32 process, u32 thread, u64 addresses, the innermost first.</summary>
    public const ushort StackWalk = 0x1820;

    /// <summary>u64 key, u64 addresses: a cached stack that is no longer needed, or is when the session ends.</summary>
    public const ushort StackWalkKeyDelete = 0x1823, StackWalkKeyRundown = 0x1824;

    /// <summary>i64 time, u32 process, u32 thread, u64 key of a cached stack that comes later.</summary>
    public const ushort StackWalkKeyKernel = 0x1825, StackWalkKeyUser = 0x1826;

    public static byte Group(ushort hookId) => (byte)(hookId >> 8);

    public static byte Type(ushort hookId) => (byte)hookId;

    /// <summary>The event class's GUID by which consumers know a kernel event; <see cref="Guid.Empty"/> for a group that isn't known.</summary>
    public static Guid Class(ushort hookId) => hookId == ImageLoad ? KernelTraceGroups.Image : KernelTraceGroups.Class(Group(hookId));
}

/// <summary>EVENT_TRACE_GROUP_* and the GUIDs of their event classes.</summary>
public static class KernelTraceGroups
{
    public static readonly Guid EventTrace = new("68fdd900-4a3e-11d1-84f4-0000f80464e3");
    public static readonly Guid DiskIo = new("3d6fa8d4-fe05-11d0-9dda-00c04fd7ba7c");
    public static readonly Guid PageFault = new("3d6fa8d3-fe05-11d0-9dda-00c04fd7ba7c");
    public static readonly Guid Process = new("3d6fa8d0-fe05-11d0-9dda-00c04fd7ba7c");
    public static readonly Guid FileIo = new("90cbdc39-4a3e-11d1-84f4-0000f80464e3");
    public static readonly Guid Thread = new("3d6fa8d1-fe05-11d0-9dda-00c04fd7ba7c");
    public static readonly Guid TcpIp = new("9a280ac0-c8e0-11d1-84e2-00c04fb998a2");
    public static readonly Guid UdpIp = new("bf3a50c5-a9c9-4988-a005-2df0b7c80f80");
    public static readonly Guid Registry = new("ae53722e-c863-11d2-8659-00c04fa321a1");
    public static readonly Guid Configuration = new("01853a65-418f-4f36-aefc-dc0f1d2fd235");
    public static readonly Guid PerfInfo = new("ce1dbfb4-137e-4da6-87b0-3f59aa102cbc");
    public static readonly Guid Object = new("89497f50-effe-4440-8cf2-ce6b1cdcaca7");
    public static readonly Guid Power = new("e43445e0-0903-48c3-b878-ff0fccebdd04");
    public static readonly Guid Image = new("2cb15d1d-5fc1-11d2-abe1-00a0c911f518");
    public static readonly Guid StackWalk = new("def2fe46-7bd6-4b80-bd94-f57fe20d0ce3");
    public static readonly Guid Alpc = new("45d8cccd-539f-4b72-a8b7-5c683142609a");
    public static readonly Guid SplitIo = new("d837ca92-12b9-44a5-ad6a-3a65b3578aa8");

    /// <summary>Of the DbgID events that merging adds: a full header, opcode 36 for the PDB's identity.</summary>
    public static readonly Guid ImageId = new("b3e675d7-2554-4f18-830b-2762732560de");

    private static readonly Guid[] ByGroup = Table();

    /// <summary><see cref="Guid.Empty"/> when the group isn't known.</summary>
    public static Guid Class(byte group) => group < ByGroup.Length ? ByGroup[group] : Guid.Empty;

    private static Guid[] Table()
    {
        var table = new Guid[28];
        table[0] = EventTrace;
        table[1] = DiskIo;
        table[2] = PageFault;
        table[3] = Process;
        table[4] = FileIo;
        table[5] = Thread;
        table[6] = TcpIp;
        table[8] = UdpIp;
        table[9] = Registry;
        table[11] = Configuration;
        table[15] = PerfInfo;
        table[17] = Object;
        table[18] = Power;
        table[20] = Image;
        table[24] = StackWalk;
        table[26] = Alpc;
        table[27] = SplitIo;
        return table;
    }
}
