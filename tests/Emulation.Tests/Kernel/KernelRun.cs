using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;

namespace Emulation.Tests.Kernel;

/// <summary>A story played with a real driver on the emulated target, and what its evidence says.</summary>
internal sealed class KernelRun
{
    public const string Victim = "victim", Handle = "h", Request = "request";

    public static readonly string[] Variants = ["gcc-O0", "gcc-O2", "clang-O2"];

    private readonly EvidenceLog _evidence = new();

    private KernelRun(string folder, string driver, ulong seed, ClientProcess[] processes)
    {
        new EmulatedTarget().Play(new Story(processes, Victim, Request, []), DriverIn(folder, driver), new Conditions(seed, 1), _evidence);
    }

    /// <summary>One of tests/drivers, made by gcc -O2.</summary>
    public static DriverUnderTest Driver(string driver) => DriverIn(Path.Combine(Repository, "tests", "drivers", "bin", "gcc-O2"), driver);

    public static KernelRun Of(string driver, params ClientProcess[] processes) => In("gcc-O2", driver, 0, processes);

    public static KernelRun In(string variant, string driver, ulong seed, params ClientProcess[] processes) =>
        new(Path.Combine(Repository, "tests", "drivers", "bin", variant), driver, seed, processes);

    /// <summary>The client asks the driver kernel-probe one question; what the driver printed.</summary>
    public static KernelRun Asking(string variant, uint code) =>
        In(variant, "kernel-probe", 0, Client(Open(), Ask(code)), Controller(new UntilGone(Victim, TimeSpan.FromSeconds(10))));

    public static ClientProcess Client(params Act[] acts) => new(Victim, [new ClientThread("main", acts)]);

    public static ClientProcess Client(params ClientThread[] threads) => new(Victim, threads);

    public static ClientThread Thread(string name, params Act[] acts) => new(name, acts);

    public static ClientProcess Controller(params Act[] acts) => new(Story.Controller, [new ClientThread("main", acts)]);

    public static Act Open(bool overlapped = false) => new OpenDevice(Handle, Overlapped: overlapped);

    public static Act Ask(uint code, string request = Request, string handle = Handle) => new DeviceControl(handle, request, code, [], 0);

    /// <summary>MyFault's RELEASE on the handle "c".</summary>
    public static Act Release => new DeviceControl("c", "release", 0x22200C, [], 4);

    public static Act UntilPending => new UntilWaiting(Victim, Request, TimeSpan.FromSeconds(5));

    public static Act Kill => new Terminate(Victim, 0x77);

    public static Act After(double seconds) => new Sleep(TimeSpan.FromSeconds(seconds));

    public static Act Look(string checkpoint = "then") => new Observe(checkpoint);

    public IReadOnlyList<Observation> Evidence => _evidence.Observations;

    public byte[] Bytes
    {
        get
        {
            using var stream = new MemoryStream();
            EvidenceFile.Write(stream, Evidence);
            return stream.ToArray();
        }
    }

    public IReadOnlyList<T> All<T>() => [.. Evidence.OfType<T>()];

    public T The<T>() => Evidence.OfType<T>().Single();

    /// <summary>What the driver printed, line by line.</summary>
    public IReadOnlyList<string> Printed => [.. All<DebugPrinted>().Select(print => print.Text.Trim())];

    public ProcessState State(string checkpoint = "then", string process = Victim) =>
        All<ProcessStates>().Single(states => states.Checkpoint == checkpoint).Processes.Single(state => state.Name == process);

    public IReadOnlyList<ThreadRecord> Threads(string checkpoint = "then") =>
        All<KernelMemorySeen>().Single(seen => seen.Checkpoint == checkpoint).Processes.Single(process => process.Image == Victim + ".exe").Threads;

    public IEnumerable<IrpSent> Sent(IrpMajor major, int pid = 0) => All<IrpSent>().Where(sent => sent.Major == major && (pid == 0 || TidsOf(pid).Contains(sent.Tid)));

    public CallReturned Returned(string call, string process = Victim) => All<CallReturned>().Single(returned => returned.Call == call && returned.Process == process);

    public IReadOnlyList<int> TidsOf(int pid) => [.. All<CallEntered>().Where(call => call.Pid == pid).Select(call => call.Tid).Distinct()];

    /// <summary>The thread that made this call.</summary>
    public int Caller(string call) => All<CallEntered>().Single(entered => entered.Process == Victim && entered.Call.StartsWith(call, StringComparison.Ordinal)).Tid;

    public bool VictimEnded => All<ProcessEnded>().Any(ended => ended.Process == Victim);

    public ProcessEnded End => All<ProcessEnded>().Single(ended => ended.Process == Victim);

    public TimeSpan FromKillToEnd => End.At - All<TerminateRequested>()[0].At;

    public static string Names(ThreadRecord thread) => string.Join(" ", thread.Stack.Select(frame => frame.Name.Split('+')[0]));

    private static DriverUnderTest DriverIn(string folder, string driver) => new(driver + ".sys", File.ReadAllBytes(Path.Combine(folder, driver + ".sys")),
        @"\Device\" + (driver == "myfault" ? "MyFault" : string.Concat(driver.Split('-').Select(word => char.ToUpperInvariant(word[0]) + word[1..]))));

    private static string Repository { get; } = FindRepository();

    private static string FindRepository()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (File.Exists(Path.Combine(folder.FullName, "DriverFaultHarness.sln"))) return folder.FullName;
        throw new InvalidOperationException($"{AppContext.BaseDirectory} is not inside the repository");
    }
}
