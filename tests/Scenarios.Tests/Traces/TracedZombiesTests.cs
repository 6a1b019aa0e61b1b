using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Symbols;
using Harness.Scenarios;
using Harness.Tracing;
using Scenarios.Tests.Cli;
using Xunit;

namespace Scenarios.Tests.Traces;

/// <summary>What the trace of a scenario tells alone, with nothing beside it but the image of nt, whose exports name its routines.</summary>
public sealed class TracedZombiesTests : IDisposable
{
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(15);
    private static readonly (string Scenario, string? Driver, Answer Answer, Hold Hold, string? Function)[] Kinds =
    [
        ("hang-irp", null, Answer.ConsistentWith, Hold.NoCancelRoutine, null),
        ("hang-irp-release", null, Answer.Proven, Hold.NoCancelRoutine, "nt!IopCancelAlertedRequest"),
        ("hang-irp-many", null, Answer.ConsistentWith, Hold.NoCancelRoutine, null),
        ("hang-irp-noop-cancel", null, Answer.Proven, Hold.CancelRoutineDidNotComplete, "nt!IopCancelAlertedRequest"),
        ("hang-irp-overlapped", null, Answer.Proven, Hold.Rundown, "nt!IoCancelThreadIo"),
        ("hang-irp-completion-port", null, Answer.Proven, Hold.Rundown, "nt!IopCleanupProcessResources"),
        ("hang-create", null, Answer.ConsistentWith, Hold.UncancellableRequest, null),
        ("close-while-hung", null, Answer.ConsistentWith, Hold.NoCancelRoutine, null),
        ("terminate-twice", null, Answer.ConsistentWith, Hold.NoCancelRoutine, null),
        ("terminate-then-release", null, Answer.Proven, Hold.Rundown, "nt!IoCancelThreadIo"),
        ("orphan-then-complete", null, Answer.Proven, Hold.Rundown, "nt!IoCancelThreadIo"),
        ("hang-irp", "blocking-dispatch", Answer.ConsistentWith, Hold.BlockedInDispatch, null),
        ("hang-irp", "polling-dispatch", Answer.Proven, Hold.BlockedInDispatch, "polling-dispatch.sys+0x"),
        ("hang-irp", "lower-holds", Answer.ConsistentWith, Hold.NoCancelRoutine, null),
        ("hang-irp-noop-cancel", "noop-cancel", Answer.Proven, Hold.CancelRoutineDidNotComplete, "nt!IopCancelAlertedRequest"),
    ];

    private readonly Scratch _scratch = new();
    private int _looks;

    public static TheoryData<string, string?, int> EveryKindOnEveryMachine => [.. Kinds.SelectMany(kind => new[] { 1, 2, 4 }.Select(processors => (kind.Scenario, kind.Driver, processors)))];

    public static TheoryData<string, int> EverySoundTwinOnEveryMachine =>
        [.. ScenarioCatalogue.All.Where(scenario => scenario.Name != "hang-create").SelectMany(scenario => new[] { 1, 2, 4 }.Select(processors => (scenario.Name, processors)))];

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(EveryKindOnEveryMachine))]
    public void Every_kind_is_told_as_what_it_is(string scenario, string? driver, int processors)
    {
        var kind = Kinds.Single(kind => kind.Scenario == scenario && kind.Driver == driver);
        var run = TracedRun.Of(scenario, processors, settle: Settle, driver: driver);
        var seen = Diagnosis(run);
        var fate = Victim(run, seen);

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((kind.Answer, kind.Hold, (driver ?? "myfault") + ".sys"), fate.Says);
        if (kind.Function is null) fate.Function.Should().BeNull();
        else fate.Function.Should().StartWith(kind.Function);
        (seen.Verdict, seen.Gaps.Count).Should().Be(("zombie", 0));
        seen.Fates.Count(other => other.IsZombie).Should().Be(1);
        fate.Facts.Should().OnlyContain(fact => fact.Holds != false);
        if (kind.Hold == Hold.BlockedInDispatch) return;
        var irp = run.Evidence.OfType<IrpSent>().First(sent => sent.Request == "request").Irp;
        fate.Requests.Should().Contain(request => request.Address == irp && request.Driver == fate.Driver);
    }

    [Theory]
    [MemberData(nameof(EverySoundTwinOnEveryMachine))]
    public void A_sound_request_makes_no_zombie_of_its_caller(string scenario, int processors)
    {
        var run = TracedRun.Of(scenario, processors, settle: Settle, request: MyFault.Pend);
        var seen = Diagnosis(run);

        (seen.Verdict, seen.Fates.Count).Should().Be(("none", run.Evidence.OfType<TerminateRequested>().Select(kill => kill.Pid).Distinct().Count()));
        seen.Fates.Should().OnlyContain(fate => fate.Answer == Answer.NotAZombie && fate.Ended != null);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void Of_threads_that_are_held_alike_the_first_is_named(int processors)
    {
        var run = TracedRun.Of("hang-irp-many", processors, settle: Settle, driver: "noop-cancel");
        var fate = Victim(run, Diagnosis(run));

        fate.Waits.Should().HaveCount(15);
        fate.Waits.Should().OnlyContain(other => other.Tid > fate.Wait!.Tid);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void A_driver_that_completes_the_create_late_but_soon_makes_none(int processors)
    {
        var run = TracedRun.Of("hang-create", processors, settle: Settle, driver: "late-create");

        Victim(run, Diagnosis(run)).Answer.Should().Be(Answer.NotAZombie);
    }

    [Fact]
    public void Who_released_it_is_the_one_who_did()
    {
        var run = TracedRun.Of("hang-irp-release", settle: Settle);
        var fate = Victim(run, Diagnosis(run));
        var controller = run.Evidence.OfType<CallEntered>().First(call => call.Process == "controller");

        fate.Wait!.Ready!.By.Should().Be(new TracedThread(controller.Tid, controller.Pid, "controller.exe"));
        fate.Wait.Ready.Stack.Should().Contain(frame => frame.StartsWith("myfault.sys+", StringComparison.Ordinal));
        fate.Requests.Should().ContainSingle().Which.CompletedBy!.Pid.Should().Be(controller.Pid);
        fate.Held!.Value.Should().BeCloseTo(Settle, TimeSpan.FromMilliseconds(20));
    }

    [Fact]
    public void The_five_minutes_of_a_rundown_are_told()
    {
        var run = TracedRun.Of("hang-irp-overlapped");
        var fate = Victim(run, Diagnosis(run));

        (fate.Answer, fate.Function).Should().Be((Answer.Proven, "nt!IoCancelThreadIo"));
        (fate.Ended!.Value - fate.Asked!.Value).Should().BeCloseTo(TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(1));
        fate.Requests.Should().ContainSingle().Which.Completed.Should().BeNull();
    }

    [Theory]
    [InlineData("hang-irp-release", Hold.NoCancelRoutine)]
    [InlineData("hang-irp-noop-cancel", null)]
    [InlineData("hang-irp-overlapped", null)]
    [InlineData("hang-irp-completion-port", Hold.Rundown)]
    public void Without_names_nothing_is_proven_and_the_trace_says_what_it_lacks(string scenario, Hold? hold)
    {
        var run = TracedRun.Of(scenario, settle: Settle);
        var seen = Diagnosis(run, Nameless(run.File), kernel: null);
        var fate = Victim(run, seen);

        (fate.Answer, fate.Hold, fate.Driver).Should().Be((Answer.ConsistentWith, hold, "myfault.sys"), fate.Says);
        seen.Lacks.Should().Equal("names of nt's routines: --symbols with its PDB, or its file beside the trace");
        seen.Symbols.Should().BeEmpty();
    }

    [Fact]
    public void An_image_of_another_build_names_nothing()
    {
        var run = TracedRun.Of("hang-irp-release", settle: Settle);
        var other = (byte[])run.Kernel.Clone();
        // IMAGE_FILE_HEADER.TimeDateStamp, behind the signature and two fields.
        other[BitConverter.ToInt32(other, 0x3C) + 8] ^= 1;
        var seen = Diagnosis(run, Nameless(run.File), other);

        Victim(run, seen).Answer.Should().Be(Answer.ConsistentWith);
        seen.Notes.Should().ContainSingle().Which.Should().StartWith("images: ntoskrnl.exe is of another build and was not used: time stamp 0x");
        Diagnosis(run, Nameless(run.File), run.Kernel).Symbols.Should().Equal("exports of ntoskrnl.exe");
        Diagnosis(run).Symbols.Should().Equal("ntoskrnl.exe, in the trace");
    }

    [Fact]
    public void Which_PDB_an_image_has_its_file_tells_where_the_trace_does_not()
    {
        var run = TracedRun.Of("hang-irp-release", settle: Settle);
        var pdb = new PdbIdentity("nt.pdb", new Guid("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"), 3);
        var folder = Directory.CreateDirectory(_scratch["named"]).FullName;
        var kernel = Path.Combine(folder, "ntoskrnl.exe");
        File.WriteAllBytes(kernel, TracedStatesTests.WithPdb((byte[])run.Kernel.Clone(), pdb.Guid, pdb.Age, pdb.Name));

        Diagnosed(pdb).Symbols.Should().BeEmpty("the PDB's names go before exports");
        Victim(run, Diagnosed(pdb)).Answer.Should().Be(Answer.Proven);
        Diagnosed(pdb with { Age = 4 }).Symbols.Should().Equal("exports of ntoskrnl.exe");

        TraceDiagnosis Diagnosed(PdbIdentity known)
        {
            var path = Path.Combine(folder, "trace.etl");
            File.WriteAllBytes(path, Nameless(run.File));
            using var trace = EventTrace.Open(path);
            return TraceAnalysis.Of(trace, new OnePdb(known, ImageFile.Open(kernel)!), ImageFiles.In(folder, null));
        }
    }

    /// <summary>A store with the PDB of one image, which has the names that its exports have.</summary>
    private sealed class OnePdb(PdbIdentity known, ImageFile image) : ISymbols, IImageSymbols
    {
        public IImageSymbols? Find(PdbIdentity pdb) => pdb == known ? this : null;

        public (uint Rva, string Name)? NameOf(uint rva) => image.NameOf(rva);

        public uint? AddressOf(string name) => null;

        public BitField? Field(string structure, string path) => null;

        public uint? SizeOf(string structure) => null;
    }

    /// <summary>From the trace alone: nothing is beside it.</summary>
    private TraceDiagnosis Diagnosis(TracedRun run) => Diagnosis(run, run.File, kernel: null);

    /// <summary>The trace as a Windows would have written it, without names: their events are of a class that nobody knows.</summary>
    internal static byte[] Nameless(byte[] file)
    {
        var trace = (byte[])file.Clone();
        var names = ImageNamesLayout.Class.ToByteArray();
        var changed = 0;
        for (var from = 0; trace.AsSpan(from).IndexOf(names) is >= 0 and var at; from += at + names.Length, changed++) trace[from + at] ^= 0xFF;
        changed.Should().BePositive();
        return trace;
    }

    private TraceDiagnosis Diagnosis(TracedRun run, byte[] file, byte[]? kernel)
    {
        var folder = Directory.CreateDirectory(_scratch[$"looked-at-{_looks++}"]).FullName;
        var path = Path.Combine(folder, "trace.etl");
        File.WriteAllBytes(path, file);
        if (kernel is not null) File.WriteAllBytes(Path.Combine(folder, "ntoskrnl.exe"), kernel);
        using var trace = EventTrace.Open(path);
        return TraceAnalysis.Of(trace, null, ImageFiles.In(folder, null));
    }

    private static TracedFate Victim(TracedRun run, TraceDiagnosis seen) => seen.Fates.First(fate => fate.Pid == run.Evidence.OfType<TerminateRequested>().First().Pid);
}
