using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Cli;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Reports;
using Scenarios.Tests.Cli;
using Xunit;

namespace Scenarios.Tests.Debugger;

/// <summary>Microsoft's debugger opens the dump of an emulated machine and sees what the verdict saw.</summary>
public sealed partial class DebuggerTests(DebuggerTests.OneForAll debugger) : IClassFixture<DebuggerTests.OneForAll>, IDisposable
{
    /// <summary>One Wine for the tests of this class.</summary>
    public sealed class OneForAll : DbgEng, IAsyncLifetime;

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData("full", 1, "hang-irp")]
    [InlineData("bitmap", 4, "hang-irp")]
    [InlineData("bitmap", 1, "hang-create")]
    [InlineData("full", 2, "hang-irp-noop-cancel")]
    public async Task Shows_the_stack_of_a_hung_thread_frame_by_frame(string kind, int processors, string scenario) =>
        await SameStacks(Dump(kind, processors, scenario));

    // Frames of a compiler's: with a frame pointer, without, and by the Windows ABI of another compiler.
    [Theory]
    [InlineData("gcc-O0")]
    [InlineData("gcc-O2")]
    [InlineData("clang-O2")]
    public async Task Shows_the_frames_of_a_driver_that_blocks_in_its_dispatch_routine(string variant)
    {
        var stacks = await SameStacks(Dump("full", 1, "hang-irp", "--driver", Repository.File("tests", "drivers", "bin", variant, "blocking-dispatch.sys"), "--device", "BlockingDispatch", "--ioctl", "0x222000"));

        stacks.Should().ContainSingle(stack => stack.Any(frame => frame.Module == "blocking-dispatch.sys"));
    }

    [Theory]
    [InlineData("full")]
    [InlineData("bitmap")]
    public async Task Tells_what_the_machine_was_and_what_was_loaded(string kind)
    {
        var folder = Dump(kind, 2, "hang-irp");

        var said = await Ask(folder, "vertarget", "lm", ".bugcheck", "u nt!KeSetEvent L1");

        var driver = folder.Evidence.OfType<DriverLoaded>().Single();
        said[0].Should().Contain("Windows 10 Kernel Version 19041 MP (2 procs) Free x64").And.Contain("19041.1.amd64fre.emulated").And.Contain("System Uptime: 0 days 0:10:00");
        said[1].Should().MatchRegex("fffff803`10000000 .* nt +C? *\\(export symbols\\)").And.Contain($"{Ticked(driver.Base)} {Ticked(new KernelAddress(driver.Base.Value + driver.Size))}   myfault");
        said[2].Should().Contain("Bugcheck code 00000161");
        said[3].Should().Contain("nt!KeSetEvent:").And.Contain("sub     rsp,");
    }

    [Fact]
    public async Task Tells_the_bug_check_that_stopped_the_machine_and_who_was_on_the_stack()
    {
        var folder = Dump("full", 1, "hang-irp", "--driver", Repository.File("tests", "drivers", "bin", "gcc-O2", "cancel-lock-leaked.sys"), "--device", "CancelLockLeaked", "--ioctl", "0x222000");

        var said = await Ask(folder, ".bugcheck", "k");

        var stop = folder.Evidence.OfType<BugChecked>().Single();
        said[0].Should().Contain($"Bugcheck code {stop.Code:X8}").And.Contain(string.Join(' ', stop.Parameters.Select(Ticked)));
        Frames(said[1]).Select(frame => frame.Site).Should().StartWith(stop.Stack.Select(AsTheDebuggerSays));
    }

    private RunFolder Dump(string kind, int processors, string scenario, params string[] more)
    {
        if (DbgEng.Lacks is { } lack) Assert.Skip(lack);
        var run = CommandRun.Of(["run", scenario, "--dump", kind, "--processors", $"{processors}", "--results", _scratch.Folder, .. more]);
        run.Code.Should().BeOneOf(ExitCode.Pass, ExitCode.Fail);
        return RunFolder.Open(Directory.EnumerateDirectories(_scratch.Folder).Should().ContainSingle().Which);
    }

    private Task<IReadOnlyList<string>> Ask(RunFolder folder, params string[] commands) => debugger.Ask(folder.FullPath, commands);

    /// <summary>Every thread of the victim that is left: the debugger's frames are those of the evidence, by stack pointer and name. The stacks.</summary>
    private async Task<IReadOnlyList<IReadOnlyList<StackFrame>>> SameStacks(RunFolder folder)
    {
        var threads = folder.Evidence.OfType<KernelMemorySeen>().Last().Processes.SelectMany(process => process.Threads).Where(thread => thread.Stack.Count > 0).ToList();
        threads.Should().NotBeEmpty();

        var said = await Ask(folder, [.. threads.SelectMany(thread => (string[])[$".thread {thread.Address.Value:x}", "k"])]);

        for (var i = 0; i < threads.Count; i++)
        {
            var frames = Frames(said[(i * 2) + 1]).TakeWhile(frame => frame.StackPointer.IsKernel);
            frames.Should().Equal(threads[i].Stack.Select(frame => (frame.StackPointer, AsTheDebuggerSays(frame.Name))));
        }

        return [.. threads.Select(thread => thread.Stack)];
    }

    private static IEnumerable<(KernelAddress StackPointer, string Site)> Frames(string said) =>
        FrameLine().Matches(said).Select(frame => (new KernelAddress(HexText.ParseUInt64("0x" + frame.Groups["sp"].Value.Replace("`", "", StringComparison.Ordinal))), frame.Groups["site"].Value));

    // A module's name has no extension there, and no dash.
    private static string AsTheDebuggerSays(string name) => name.Replace(".sys", "", StringComparison.Ordinal).Replace('-', '_');

    private static string Ticked(KernelAddress address) => $"{address.Value >> 32:x8}`{(uint)address.Value:x8}";

    [GeneratedRegex("^(?<sp>[0-9a-f]{8}`[0-9a-f]{8}) [0-9a-f]{8}`[0-9a-f]{8} +(?<site>\\S+) *$", RegexOptions.Multiline)]
    private static partial Regex FrameLine();
}
