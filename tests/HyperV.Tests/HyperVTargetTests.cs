using System.Text;
using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Targets;
using Harness.Core.Verdicts;
using Harness.HyperV;
using Xunit;

namespace HyperV.Tests;

/// <summary>A guest that does what it should, and one that is told by its evidence.</summary>
public sealed class HyperVTargetTests
{
    [Fact]
    public void The_guest_s_evidence_is_judged_as_if_it_were_seen_here()
    {
        using var host = new Host().MadeReady().Tells("hang-irp");

        var run = host.Play();

        var emulated = Host.Emulated("hang-irp");
        run.Evidence.Should().BeEquivalentTo(emulated.Evidence, options => options.RespectingRuntimeTypes().WithStrictOrdering());
        run.Judgement.Should().BeEquivalentTo(emulated.Judgement);
        host.Asked.Should().Equal("Check", "Restore", "Start", "Connect", "Copy", "Copy", "Run", "Collect");
        Directory.EnumerateFiles(host.At("kept")).Select(Path.GetFileName).Should().BeEquivalentTo("conversation.jsonl", "trace.etl");
        host.LeftOvers.Should().BeEmpty();
    }

    [Fact]
    public void The_conversation_is_recorded_with_its_arguments_and_what_was_said_besides()
    {
        using var host = new Host().MadeReady().Fine("Copy").Says("Run", new HostAnswer(true, ExitCode: 0), line => line["error"] = "WARNING: a warning").Collects("hang-irp");

        host.Play();

        var copy = host.Conversation[5].GetProperty("arguments");
        copy.GetProperty("Destination").GetString().Should().Be(@"C:\driverfault\run\1");
        var run = host.Conversation[6];
        run.GetProperty("arguments").GetProperty("TimeoutSeconds").GetString().Should().Be("20");
        run.GetProperty("arguments").GetProperty("StorySeconds").GetString().Should().Be("10", "the guest's own harness gives up first");
        run.GetProperty("noise").GetString().Should().Be("WARNING: a warning\n");
        run.GetProperty("answer").GetProperty("exitCode").GetInt32().Should().Be(0);
    }

    [Fact]
    public void A_limit_reaches_the_harness_in_the_guest()
    {
        using var host = new Host();
        var target = (HyperVTarget)host.Target.With(new MachineOptions(false, TimeSpan.FromMinutes(5)));

        target.Limits.Story.Should().Be(TimeSpan.FromMinutes(5));
        target.Limits.Run.Should().Be(TimeSpan.FromMinutes(5) + Host.Short.Check);
    }

    [Fact]
    public void The_line_that_runs_it_again_names_the_machine()
    {
        using var host = new Host();
        Host.Describe("hang-irp", host.Target).Replay.Should().Be("driverfault run hang-irp --target hyperv --vm TestVm --settle 10m --seed 1");
    }

    [Fact]
    public void What_the_guest_is_given_can_be_replayed_by_the_harness_there()
    {
        using var host = new Host().MadeReady().Says("Copy", new HostAnswer(false, "failed", "the disk is full"));
        Harness.Core.Reports.RunFolder? given = null;
        byte[]? driver = null;
        host.With(looks: step =>
        {
            if (step.Name != "Copy" || step.Arguments[1].Value != @"C:\driverfault\run\1") return;
            given = Harness.Core.Reports.RunFolder.Open(step.Arguments[0].Value);
            driver = File.ReadAllBytes(Path.Combine(step.Arguments[0].Value, "myfault.sys"));
        });

        host.Play();

        given!.Run.Target.Should().Be("local");
        given.Run.Driver.Path.Should().Be(@"C:\driverfault\run\1\myfault.sys");
        given.Run.Driver.Sha256.Should().Be(Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(driver!)));
        given.Run.Story.Should().BeEquivalentTo(Host.Emulated("hang-irp").Description.Story, options => options.RespectingRuntimeTypes());
        given.Evidence.Should().BeEmpty();
    }

    [Fact]
    public void A_guest_that_is_fit_is_given_the_next_story_as_it_is()
    {
        using var host = new Host().MadeReady().Tells("pend-then-terminate").Tells("pend-then-terminate");

        host.Play("pend-then-terminate").Judgement.Verdict.Should().Be(Verdict.Pass);
        host.Play("pend-then-terminate").Judgement.Verdict.Should().Be(Verdict.Pass);

        host.Asked.Count(step => step == "Restore").Should().Be(1);
        host.Conversation[^3].GetProperty("arguments").GetProperty("Destination").GetString().Should().Be(@"C:\driverfault\run\2");
    }

    [Fact]
    public void With_isolate_every_story_begins_at_the_checkpoint()
    {
        using var host = new Host().With(isolate: true).MadeReady().Tells("pend-then-terminate").MadeReady().Tells("pend-then-terminate");

        host.Play("pend-then-terminate").Judgement.Verdict.Should().Be(Verdict.Pass);
        host.Play("pend-then-terminate").Judgement.Verdict.Should().Be(Verdict.Pass);

        host.Asked.Count(step => step == "Restore").Should().Be(2);
    }

    [Fact]
    public void A_driver_that_could_not_be_unloaded_sends_the_guest_back_to_its_checkpoint()
    {
        using var host = new Host().MadeReady().Tells("hang-irp").MadeReady().Tells("pend-then-terminate");

        host.Play("hang-irp").Evidence.Should().Contain(o => o is DriverNotUnloaded);
        host.Play("pend-then-terminate").Judgement.Verdict.Should().Be(Verdict.Pass);

        host.Asked.Count(step => step == "Restore").Should().Be(2);
        host.Refused.Should().BeEmpty();
    }

    [Fact]
    public void Output_in_another_code_page_is_noise()
    {
        // "Prüfung läuft… 検査" in code page 932 and 850, with a line end inside of a character, before the answer.
        using var host = new Host().MadeReady().Fine("Copy").Says("Run", new HostAnswer(true, ExitCode: 0, Says: "Prüfung läuft"), line => line["noiseBytes"] = "50729f66756e670d0a8c9f8db80aff00fe8184" + "0d0a").Collects("hang-irp");

        host.Play().Judgement.Verdict.Should().Be(Verdict.Pass);

        host.Conversation[6].GetProperty("answer").GetProperty("says").GetString().Should().Be("Prüfung läuft");
        Encoding.Latin1.GetBytes(host.Conversation[6].GetProperty("noise").GetString()!).Should().StartWith(Convert.FromHexString("50729f66756e67"));
    }

    [Fact]
    public void What_is_lacking_is_said_before_anything_is_begun()
    {
        using var host = new Host();
        var options = host.Target.Options;
        string? Lacks(GuestOptions with) => host.Target.With(with).Lacks;

        Lacks(options).Should().BeNull();
        Lacks(options with { Vm = null }).Should().Contain("--vm NAME or DRIVERFAULT_VM");
        Lacks(options with { Computer = "other" }).Should().Be("a virtual machine and a computer are named, and a run has one");
        Lacks(options with { Harness = host.At("nowhere") }).Should().Contain("driverfault.exe for the guest").And.Contain("docs/hyperv.md");
        Lacks(options with { Scripts = host.At("nowhere") }).Should().Contain("Invoke-GuestScenario.ps1");
        FluentActions.Invoking(() => host.Target.Check("x.sys", [1, 2, 3])).Should().Throw<UnusableDriverException>();
    }

    [Fact]
    public void Every_step_and_parameter_is_one_that_the_script_takes()
    {
        var script = File.ReadAllText(Path.Combine(Repository.Root, "vm-scripts", "Invoke-GuestScenario.ps1"));
        var steps = Regex.Match(script, @"\[ValidateSet\((?<names>[^)]*)\)\] \[string\] \$Step,").Groups["names"].Value.Split(',').Select(name => name.Trim(' ', '\'')).ToList();
        var parameters = Regex.Matches(script[..script.IndexOf("Set-StrictMode", StringComparison.Ordinal)], @"\] \$(\w+)").Select(match => match.Groups[1].Value).ToList();
        HostStep[] all = [HostStep.Check, HostStep.Restore, HostStep.Start, HostStep.Connect, HostStep.Copy("a", "b"), HostStep.Run("a", "b", "c", TimeSpan.FromSeconds(1.5), TimeSpan.FromSeconds(2.5)), HostStep.Collect("a", "b"), HostStep.LiveDump("a"), HostStep.Interrupt];
        using var host = new Host();

        all.Select(step => step.Name).Should().BeEquivalentTo(steps);
        all.SelectMany(step => step.Arguments.Select(argument => argument.Key)).Should().BeSubsetOf(parameters);
        host.Target.Options.ScriptArguments.Should().EndWith(["-VMName", "TestVm"]);
        (host.Target.Options with { Vm = null, Computer = "Other" }).ScriptArguments.Should().EndWith(["-ComputerName", "Other"]);
        parameters.Should().Contain(["VMName", "ComputerName"]).And.NotContain(name => name.Contains("assword", StringComparison.Ordinal) || name.Contains("redential", StringComparison.Ordinal), "a credential is never an argument");
    }

    [Fact]
    public void Every_failure_that_the_scripts_name_is_one_that_the_target_knows()
    {
        var named = Directory.EnumerateFiles(Path.Combine(Repository.Root, "vm-scripts")).SelectMany(file => Regex.Matches(File.ReadAllText(file), "-Code '(\\w+)'").Select(match => match.Groups[1].Value)).Distinct();
        var answered = Regex.Match(File.ReadAllText(Path.Combine(Repository.Root, "vm-scripts", "DriverFaultVm.psm1")), @"\$codes = (?<names>.*)").Groups["names"].Value.Split(',').Select(name => name.Trim(' ', '\'', '\r')).ToList();

        named.Should().BeSubsetOf(answered);
        GuestSession.Hopeless.Except(["noPowerShell"]).Should().BeSubsetOf(answered);
    }

    [Theory]
    [InlineData(null, null, "A", "B", null, "B")]
    [InlineData("V", null, null, "B", "V", null)]
    [InlineData(null, "C", "A", null, null, "C")]
    [InlineData(null, null, "A", null, "A", null)]
    public void The_machine_the_user_names_goes_before_the_environment_s(string? vm, string? computer, string? vmThere, string? computerThere, string? isVm, string? isComputer)
    {
        var options = GuestOptions.Of("root", name => name == GuestOptions.VmVariable ? vmThere : computerThere).With(vm, computer, false);

        if (vmThere is null || computerThere is null) (options.Vm, options.Computer).Should().Be((isVm, isComputer));
        else options.Lacks.Should().StartWith("a virtual machine and a computer");
    }
}
