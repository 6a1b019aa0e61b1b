using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Kernel;

namespace Scenarios.Tests.Traces;

/// <summary>What a run's trace tells of its victim. Who that is, the evidence tells.</summary>
internal sealed class TracedStory
{
    private readonly IReadOnlyList<LoggedEvent> _events;
    private readonly Dictionary<long, IReadOnlyList<string>> _stacks;
    private readonly Dictionary<long, uint> _stackOwners;

    public TracedStory(TracedRun run)
    {
        _events = run.Trace.Events;
        _stacks = _events.Where(e => e.Kind == (24, 32)).ToDictionary(e => (long)e.U64(0), NamesOf);
        _stackOwners = _events.Where(e => e.Kind == (24, 32)).ToDictionary(e => (long)e.U64(0), e => e.U32(12));
        var kill = run.Evidence.OfType<TerminateRequested>().First();
        var asked = run.Evidence.OfType<CallEntered>().First(call => call.Pid == kill.Pid && call.Request == "request");
        Process = (uint)kill.Pid;
        Thread = (uint)asked.Tid;
        Controller = (uint)run.Evidence.OfType<CallEntered>().First(call => call.Process == "controller").Tid;
        Irp = run.Evidence.OfType<IrpSent>().First(sent => sent.Request == "request").Irp.Value;
    }

    public uint Process { get; }

    public uint Thread { get; }

    /// <summary>The harness's own thread.</summary>
    public uint Controller { get; }

    /// <summary>The victim's request.</summary>
    public ulong Irp { get; }

    public IEnumerable<LoggedEvent> Calls => Of(1, 34).Where(e => e.U64(24) == Irp);

    public IEnumerable<LoggedEvent> Completions => Of(1, 52).Where(e => e.U64(8) == Irp);

    public LoggedEvent Terminate => Of(3, 11).Single(e => e.U32(0) == Process);

    public IEnumerable<LoggedEvent> Readied => Of(5, 50).Where(e => e.U32(0) == Thread);

    public IEnumerable<LoggedEvent> SwitchesIn => Of(5, 36).Where(e => e.U32(0) == Thread);

    public IEnumerable<LoggedEvent> SwitchesOut => Of(5, 36).Where(e => e.U32(4) == Thread);

    public IEnumerable<LoggedEvent> ThreadEnds => Of(5, 2).Where(e => e.U32(4) == Thread);

    public IEnumerable<LoggedEvent> ProcessEnds => Of(3, 2).Where(e => e.U32(8) == Process);

    /// <summary>The last rundown has process and thread.</summary>
    public bool IsListedAtTheEnd => Of(3, 4).Any(e => e.U32(8) == Process) && Of(5, 4).Any(e => e.U32(4) == Thread);

    public IReadOnlyList<string> StackOf(LoggedEvent e) => _stacks[e.Time];

    public uint StackOwner(LoggedEvent e) => _stackOwners[e.Time];

    /// <summary>The functions of every stack of the trace.</summary>
    public IEnumerable<string> AllFunctions => _stacks.Values.SelectMany(stack => stack).Distinct();

    public IEnumerable<LoggedEvent> Of(int group, int type) => _events.Where(e => e.Kind == (group, type));

    public static TimeSpan At(LoggedEvent e) => TimeSpan.FromTicks(e.Time / 100);

    /// <summary>Functions of nt by name, else "driver" or "user".</summary>
    private static IReadOnlyList<string> NamesOf(LoggedEvent stack) =>
        [.. Enumerable.Range(0, (stack.Payload.Length - 16) / 8).Select(i => stack.U64(16 + (i * 8)))
            .Select(address => NtImage.Contains(address) ? NtImage.Instance.NameOf(address).Split('+')[0] : new KernelAddress(address).IsKernel ? "driver" : "user")];
}
