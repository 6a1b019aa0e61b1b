using System.Text;
using Core.Tests.Traces;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Harness.Core.Traces;
using Harness.Tracing;
using static Core.Tests.Traces.FakeTrace;

namespace Tracing.Tests.Zombies;

/// <summary>
/// A trace of a kernel, told event by event; time goes on by a tick with each. The header's clock begins at 1000 ticks of 100 ns. There is nt, whose
/// routines have names by its PDB, and two drivers.
/// </summary>
internal sealed class KernelStory : ISymbols, IImageSymbols
{
    public const int Victim = 400, VictimThread = 404, Controller = 500, ControllerThread = 504;
    public const ulong Irp = 0xFFFF_8A00_0000_1000, File = 0xFFFF_8A00_0000_2000;

    private const ulong Nt = 0xFFFF_F800_0000_0000, First = 0xFFFF_F801_0000_0000, Second = 0xFFFF_F802_0000_0000;

    /// <summary>Each 0x100 long.</summary>
    private static readonly string[] Routines =
    [
        "KiSwapContext", "KeWaitForSingleObject", "KeDelayExecutionThread", "IopCancelAlertedRequest", "IopSynchronousServiceTail", "NtDeviceIoControlFile", "IoCancelThreadIo", "PspExitThread",
        "IopCleanupProcessResources", "IopCloseFile", "IopParseDevice", "NtWaitForSingleObject", "KeSetEvent", "IofCompleteRequest", "KiRetireDpcList", "MiFlushSectionInternal",
    ];

    public static readonly string[] Cancelled = ["KiSwapContext", "KeWaitForSingleObject", "IopCancelAlertedRequest", "IopSynchronousServiceTail", "NtDeviceIoControlFile"];
    public static readonly string[] Polled = ["KiSwapContext", "KeDelayExecutionThread", "IopCancelAlertedRequest", "IopSynchronousServiceTail", "NtDeviceIoControlFile"];
    public static readonly string[] Served = ["KiSwapContext", "KeWaitForSingleObject", "IopSynchronousServiceTail", "NtDeviceIoControlFile"];

    private readonly SortedDictionary<int, List<byte[]>> _records = [];
    private readonly Dictionary<int, int> _running = [];
    private long _time = 1000;
    private uint _calls;
    private ulong _keys;

    public uint EventsLost { get; init; }

    /// <summary>When the header says that the session began; the story begins at 1000.</summary>
    public long Start { get; init; } = 1000;

    public TraceBufferFlags Flags { get; init; } = TraceBufferFlags.ProcessorIndex;

    /// <summary>CSwitch of Windows 11 has four bytes more.</summary>
    public bool LongSwitches { get; init; }

    /// <summary>The session caches stacks: events have keys, and the frames come at the end.</summary>
    public bool CachesStacks { get; init; }

    public bool HasStacks { get; init; } = true;

    public bool HasSwitches { get; init; } = true;

    public bool HasDrivers { get; init; } = true;

    /// <summary>The second driver's file.</summary>
    public string SecondFile { get; init; } = "second.sys";

    /// <summary>Whose records the next are.</summary>
    public int Processor { get; set; }

    /// <summary>The images, and a victim and a controller with a thread each: there when the session begins.</summary>
    public KernelStory Begin()
    {
        Image(Nt, 0x10_0000, @"\SystemRoot\system32\ntoskrnl.exe");
        Add(Classic(TraceRecordType.FullHeader64, KernelTraceGroups.ImageId, 36, _time, [.. Words(Nt), 0, 0, 0, 0, .. Pdb.Guid.ToByteArray(), .. BitConverter.GetBytes(Pdb.Age), .. Encoding.ASCII.GetBytes(Pdb.Name + "\0")]));
        Image(First, 0x1_0000, @"\??\C:\drivers\first.sys");
        Image(Second, 0x1_0000, @"\??\C:\drivers\" + SecondFile);
        return Process(KernelTraceEvents.ProcessDCStart, Victim, "victim.exe").Thread(KernelTraceEvents.ThreadDCStart, Victim, VictimThread)
            .Process(KernelTraceEvents.ProcessDCStart, Controller, "controller.exe").Thread(KernelTraceEvents.ThreadDCStart, Controller, ControllerThread);
    }

    public KernelStory After(double milliseconds)
    {
        _time += (long)(milliseconds * 10_000);
        return this;
    }

    public KernelStory Process(ushort what, int pid, string image, int exitStatus = 0) => Kernel(what,
        [.. Words(0xFFFF_8A00_0000_0000 + (uint)pid), .. Numbers((uint)pid, 4, 0, (uint)exitStatus), .. Words(0x1AA000), .. Numbers(0, 0), .. Encoding.ASCII.GetBytes(image + "\0"), .. Encoding.Unicode.GetBytes("\0\0\0")],
        system: what is KernelTraceEvents.ProcessStart or KernelTraceEvents.ProcessEnd, version: 4);

    public KernelStory Thread(ushort what, int pid, int tid) => Kernel(what, [.. Numbers((uint)pid, (uint)tid), .. new byte[64], 8, 5, 2, 0, 0, 0], system: true, version: 3);

    public KernelStory Starts(int pid, string image, int tid) => Process(KernelTraceEvents.ProcessStart, pid, image).Thread(KernelTraceEvents.ThreadStart, pid, tid);

    /// <summary>The thread's end and its process's.</summary>
    public KernelStory Ends(int pid = Victim, int tid = VictimThread) => Thread(KernelTraceEvents.ThreadEnd, pid, tid).Process(KernelTraceEvents.ProcessEnd, pid, "x.exe").Switches(0, WaitReason.Executive, ThreadState.Terminated);

    public KernelStory Image(ulong address, ulong size, string path, ushort what = KernelTraceEvents.ImageDCStart) =>
        Kernel(what, [.. Words(address, size), .. Numbers(0, 0, 0x12345678, 0), .. Words(address, 0, 0), .. Encoding.Unicode.GetBytes(path + "\0")], version: 3);

    public KernelStory Terminate(int victim = Victim) => Kernel(KernelTraceEvents.ProcessTerminate, [.. Numbers((uint)victim)], system: true);

    /// <summary>The processor goes to another thread, 0 for none, whose stack follows.</summary>
    public KernelStory Switches(int to, WaitReason reason = WaitReason.Executive, ThreadState state = ThreadState.Waiting, params string[] stack)
    {
        var from = _running.GetValueOrDefault(Processor);
        _running[Processor] = to;
        if (!HasSwitches || from == to) return this;
        Kernel(KernelTraceEvents.ContextSwitch, [.. Numbers((uint)to, (uint)from), 8, 8, 0, 0, (byte)reason, 0, (byte)state, 0, .. Numbers(0, 0), .. LongSwitches ? Numbers(0) : []], version: (ushort)(LongSwitches ? 5 : 4));
        return Stack(to, stack);
    }

    /// <summary>Who runs makes a thread ready, or a DPC does meanwhile.</summary>
    public KernelStory Readies(int tid, bool inDpc = false, params string[] stack) =>
        Kernel(KernelTraceEvents.ReadyThread, [.. Numbers((uint)tid), 1, 0, inDpc ? (byte)1 : (byte)0, 0]).Stack(_running.GetValueOrDefault(Processor), stack);

    /// <summary>The thread waits and then, after some time, goes on, made ready by a DPC of the idle processor.</summary>
    public KernelStory WaitsFor(double milliseconds, WaitReason reason, params string[] stack)
    {
        var tid = _running[Processor];
        return Switches(0, reason).After(milliseconds).Readies(tid, inDpc: true).Switches(tid, stack: stack);
    }

    public KernelStory Calls(ulong irp = Irp, IrpMajor major = IrpMajor.DeviceControl, bool second = false, ulong file = File, bool returns = true)
    {
        if (!HasDrivers) return this;
        var id = ++_calls;
        Kernel(KernelTraceEvents.DriverMajorFunctionCall, [.. Numbers((uint)major, 0), .. Words((second ? Second : First) + 0x1000, file, irp), .. Numbers(id)]);
        return returns ? Returns(irp, id) : this;
    }

    /// <summary>The dispatch routine of this call, counted from 1, returns.</summary>
    public KernelStory Returns(ulong irp, uint call) => Kernel(KernelTraceEvents.DriverMajorFunctionReturn, [.. Words(irp), .. Numbers(call)]);

    /// <summary>A driver calls IoCompleteRequest; a completion routine of the first may run.</summary>
    public KernelStory Completes(ulong irp = Irp, bool second = false, bool completionRoutine = false)
    {
        if (!HasDrivers) return this;
        var id = ++_calls;
        Kernel(KernelTraceEvents.DriverCompleteRequest, [.. Words((second ? Second : First) + 0x1000, irp), .. Numbers(id)]);
        if (completionRoutine) Kernel(KernelTraceEvents.DriverCompletionRoutine, [.. Words(First + 0x2000, irp), .. Numbers(id)]);
        return Kernel(KernelTraceEvents.DriverCompleteRequestReturn, [.. Words(irp), .. Numbers(id)]);
    }

    /// <summary>The rundown that ends a session lists these processes.</summary>
    public KernelStory Lists(params int[] pids)
    {
        foreach (var pid in pids) Process(KernelTraceEvents.ProcessDCEnd, pid, "x.exe");
        return this;
    }

    /// <summary>The victim sends a request, which stays pending, and waits for it.</summary>
    public KernelStory Requests(IrpMajor major = IrpMajor.DeviceControl) => Switches(VictimThread).Calls(major: major).Switches(ControllerThread, WaitReason.Executive);

    /// <summary>The controller asks for the victim's end, whose thread is made ready by that and runs.</summary>
    public KernelStory Kills() => Terminate().Readies(VictimThread).Switches(VictimThread, WaitReason.UserRequest, stack: Served);

    /// <summary>The victim hangs for ten minutes in a request without a cancel routine.</summary>
    public KernelStory Hangs() => Requests().Kills().Switches(0).After(600_000);

    /// <summary>The controller has it completed.</summary>
    public KernelStory Releases() => Switches(ControllerThread).Completes().Readies(VictimThread, stack: ["KeSetEvent", "IofCompleteRequest", "first.sys"]).Switches(VictimThread, WaitReason.UserRequest, stack: Cancelled);

    public byte[] Bytes()
    {
        var most = _records.Values.Max(list => list.Sum(record => record.Length + 8)) + 4096;
        var file = new FakeTrace(most + 7 & ~7) { Header = LogfileHeader(eventsLost: EventsLost), Start = Start };
        var records = _keys == 0 ? _records : WithStacks();
        foreach (var (processor, list) in records) file.Buffer(processor, processor, Flags, [.. list]);
        return file.File();
    }

    public TraceDiagnosis Diagnosis(bool named = true) => Of(Bytes(), named ? this : null);

    /// <summary>Of the victim, which is asked to end once in the story.</summary>
    public TracedFate Fate(bool named = true) => Diagnosis(named).Fates.Single(fate => fate.Pid == Victim);

    public static TraceDiagnosis Of(byte[] file, ISymbols? symbols = null, System.Threading.CancellationToken stop = default)
    {
        using var trace = EventTrace.Bridge(TraceFile.Read(new MemoryStream(file)));
        return TraceAnalysis.Of(trace, symbols, stop: stop);
    }

    // nt's PDB.

    private static readonly PdbIdentity Pdb = new("ntkrnlmp.pdb", new Guid("89284d0c-a6ac-c827-4b9a-44bd5af9290b"), 1);

    public IImageSymbols? Find(PdbIdentity pdb) => pdb == Pdb ? this : null;

    public (uint Rva, string Name)? NameOf(uint rva) => rva / 0x100 < Routines.Length ? (rva & ~0xFFu, Routines[rva / 0x100]) : null;

    public uint? AddressOf(string name) => null;

    public BitField? Field(string structure, string path) => null;

    public uint? SizeOf(string structure) => null;

    private static ulong AddressOfFrame(string frame) => frame switch
    {
        "first.sys" => First + 0x1234,
        "second.sys" => Second + 0x1234,
        "nowhere" => 0xFFFF_F803_0000_1234,
        _ => Nt + ((ulong)Array.IndexOf(Routines, frame) * 0x100) + 0x18,
    };

    private readonly Dictionary<ulong, string[]> _cached = [];

    private KernelStory Stack(int tid, string[] stack)
    {
        if (!HasStacks || stack.Length == 0) return this;
        var of = (ulong)_time;
        var owner = Numbers(tid == VictimThread ? (uint)Victim : Controller, (uint)tid);
        if (!CachesStacks) return Kernel(KernelTraceEvents.StackWalk, [.. Words(of), .. owner, .. Words([.. stack.Select(AddressOfFrame), 0x7FFE_1234])]);
        _cached[++_keys] = stack;
        return Kernel(KernelTraceEvents.StackWalkKeyKernel, [.. Words(of), .. owner, .. Words(_keys)]);
    }

    private SortedDictionary<int, List<byte[]>> WithStacks()
    {
        foreach (var (key, stack) in _cached) Kernel(KernelTraceEvents.StackWalkKeyRundown, [.. Words([key, .. stack.Select(AddressOfFrame)])]);
        return _records;
    }

    private KernelStory Kernel(ushort what, byte[] payload, bool system = false, ushort version = 2)
    {
        var by = _running.GetValueOrDefault(Processor);
        Add(FakeTrace.Kernel(system ? TraceRecordType.System64 : TraceRecordType.PerfInfo64, what, ++_time, payload, by, by == VictimThread ? Victim : Controller, version));
        return this;
    }

    private void Add(byte[] record)
    {
        if (!_records.TryGetValue(Processor, out var list)) _records[Processor] = list = [];
        list.Add(record);
    }

    private static byte[] Numbers(params uint[] numbers) => [.. numbers.SelectMany(BitConverter.GetBytes)];
}
