using System.Globalization;

namespace Harness.Core.Nt;

/// <summary>
/// Where the fields of NT's structures lie in one build (x64), as <c>layout.KThread.WaitReason</c>: offsets in bytes, bit fields as
/// <see cref="BitField"/>. The values come from the embedded table nt-offsets.json, whose "sources" name the public symbol tables, or from the kernel's
/// own PDB.
/// </summary>
public sealed class NtLayout
{
    private static readonly System.Threading.Lock Gate = new();
    private static readonly Dictionary<int, NtLayout> Known = [];

    private NtLayout(int build, LayoutTable table)
    {
        Build = build;
        IsOfSymbols = table.IsOfSymbols;
        Assumed = table.Assumed;
        KProcess = new(table["_KPROCESS"]);
        EProcess = new(table["_EPROCESS"]);
        KThread = new(table["_KTHREAD"]);
        EThread = new(table["_ETHREAD"]);
        ApcState = new(table["_KAPC_STATE"]);
        Apc = new(table["_KAPC"]);
        WaitBlock = new(table["_KWAIT_BLOCK"]);
        DispatcherHeader = new(table["_DISPATCHER_HEADER"]);
        Irp = new(table["_IRP"], table["irp_flat_19041"]);
        StackLocation = new(table["_IO_STACK_LOCATION"], table["io_stack_location_flat_19041"]);
        DeviceObject = new(table["_DEVICE_OBJECT"]);
        DriverObject = new(table["_DRIVER_OBJECT"]);
        FileObject = new(table["_FILE_OBJECT"]);
        ObjectHeader = new(table["_OBJECT_HEADER"]);
        LoadedModule = new(table["_KLDR_DATA_TABLE_ENTRY"]);
        Prcb = new(table["_KPRCB"]);
        TrapFrame = new(table["_KTRAP_FRAME"]);
        SwitchFrame = new(table["kswitch_frame_x64"]);
    }

    /// <summary>The build the layout is for: 19041 for 19041…19045.</summary>
    public int Build { get; }

    /// <summary>
    /// Structures ("_IRP") and fields ("_KPROCESS.ThreadListHead") that this build's sources do not tell and that are assumed to be what
    /// they were in every build from 14393 to 22631; empty for most builds.
    /// </summary>
    public IReadOnlyList<string> Assumed { get; }

    /// <summary>The kernel's own symbols gave it, and not the table.</summary>
    public bool IsOfSymbols { get; }

    public KProcessLayout KProcess { get; }
    public EProcessLayout EProcess { get; }
    public KThreadLayout KThread { get; }
    public EThreadLayout EThread { get; }
    public ApcStateLayout ApcState { get; }
    public ApcLayout Apc { get; }
    public WaitBlockLayout WaitBlock { get; }
    public DispatcherHeaderLayout DispatcherHeader { get; }
    public IrpLayout Irp { get; }
    public StackLocationLayout StackLocation { get; }
    public DeviceObjectLayout DeviceObject { get; }
    public DriverObjectLayout DriverObject { get; }
    public FileObjectLayout FileObject { get; }
    public ObjectHeaderLayout ObjectHeader { get; }
    public LoadedModuleLayout LoadedModule { get; }
    public PrcbLayout Prcb { get; }
    public TrapFrameLayout TrapFrame { get; }
    public SwitchFrameLayout SwitchFrame { get; }

    /// <summary>
    /// The layout that the kernel's own symbols give, of whatever build. What they leave out is taken from where it was in every build from 14393 to
    /// 22631, as in the table, and is told in <see cref="Assumed"/>.
    /// </summary>
    /// <param name="build">The build's number.</param>
    /// <param name="symbols">The symbols.</param>
    /// <param name="lacks">When there is no layout: a field that they don't tell, "_KTHREAD.WaitReason".</param>
    public static NtLayout? FromSymbols(int build, IImageSymbols symbols, out string? lacks)
    {
        lacks = null;
        try
        {
            return new NtLayout(build, LayoutTable.Of(build, symbols));
        }
        catch (UnknownFieldException e)
        {
            lacks = e.Field;
            return null;
        }
    }

    /// <summary>The layout of a build; releases that share another one's kernel (19045, 22631…) are known too.</summary>
    /// <exception cref="UnknownBuildException">The table doesn't hold the build: nothing of its memory can be understood.</exception>
    public static NtLayout ForBuild(int build)
    {
        lock (Gate)
        {
            if (Known.TryGetValue(build, out var layout)) return layout;
            var table = LayoutTable.Of(build.ToString(CultureInfo.InvariantCulture), out var known)
                ?? throw new UnknownBuildException(build, known);
            return Known[build] = new NtLayout(table.Build, table);
        }
    }
}

/// <summary>No structure layouts are known for an NT build.</summary>
public sealed class UnknownBuildException(int build, IReadOnlyList<string> known)
    : Exception($"NT build {build} is not in the layout table; it knows {string.Join(", ", known)}")
{
    /// <summary>The build that was asked for.</summary>
    public int Build { get; } = build;
}

/// <summary>A bit field: the byte it starts in, the first bit counted from that byte's bit 0, and its length in bits.</summary>
public readonly record struct BitField(uint Offset, int Bit, int Length)
{
    /// <summary>The field's value in the 32 bits at <see cref="Offset"/>.</summary>
    public uint In(uint word) => (word >> Bit) & Mask;

    /// <summary>The 32 bits at <see cref="Offset"/> with the field set to a value.</summary>
    public uint With(uint word, uint value) => (word & ~(Mask << Bit)) | ((value & Mask) << Bit);

    private uint Mask => Length >= 32 ? uint.MaxValue : (1u << Length) - 1;
}
