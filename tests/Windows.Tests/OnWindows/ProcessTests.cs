using System.Diagnostics;
using FluentAssertions;
using Harness.Core.Nt;
using Harness.Windows;
using Harness.Windows.Native;
using Xunit;

namespace Windows.Tests.OnWindows;

/// <summary>Processes and what they leave.</summary>
public sealed class ProcessTests
{
    // It waits for its orders until its standard input is closed.
    private static Process Start() =>
        Process.Start(new ProcessStartInfo(Environment.ProcessPath!, [ClientProgram.Command]) { UseShellExecute = false, CreateNoWindow = true, RedirectStandardInput = true, RedirectStandardOutput = true })!;

    [Fact]
    public void A_killed_process_is_signalled_with_the_status_it_was_given()
    {
        using var process = Start();
        using var handle = ProcessHandle.Open(process.Id);
        handle.IsSignalled.Should().BeFalse();
        handle.ExitStatus.Should().Be(NtStatus.Pending, "STILL_ACTIVE");
        (handle.IsDeleting ?? false).Should().BeFalse();

        handle.Terminate(0x77).Should().Be(NtStatus.Success);
        handle.Wait(Machine.Patience).Should().BeTrue();

        handle.ExitStatus.Value.Should().Be(0x77);
        handle.Pid.Should().Be(process.Id);
        SystemInformation.Processes().Should().NotContain(listed => listed.Pid == process.Id);
    }

    [Fact]
    public void A_client_without_orders_goes_when_its_harness_goes()
    {
        using var process = Start();
        using var handle = ProcessHandle.Open(process.Id);
        process.StandardInput.Close();
        handle.Wait(Machine.Patience).Should().BeTrue();
        handle.ExitStatus.Value.Should().Be(2);
    }

    [Fact]
    public void A_process_that_is_not_there_cannot_be_opened()
    {
        Action open = () => ProcessHandle.Open(int.MaxValue - 3).Dispose();
        open.Should().Throw<WindowsException>().Which.Call.Should().Contain("OpenProcess");
        ProcessHandle.ToAsk(int.MaxValue - 3).Should().BeNull();
    }

    [Fact]
    public void A_thread_that_is_not_there_cannot_be_asked() => ThreadHandle.ToAsk(int.MaxValue - 3).Should().BeNull();

    [Fact]
    public void A_living_process_without_a_runtime_of_ours_cannot_be_attached_to_by_a_wrong_number()
    {
        Action attach = () => ManagedStacks.Of(int.MaxValue - 3, [1]);
        attach.Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void An_ended_process_that_only_a_handle_keeps_is_told_with_who_keeps_it()
    {
        using var keeper = Start();
        using var ended = Start();
        using var handle = ProcessHandle.Open(ended.Id);
        var pid = ended.Id;
        handle.Terminate(3);
        handle.Wait(Machine.Patience).Should().BeTrue();

        // Its own handles a census leaves out, so somebody else must look.
        var (_, said) = Command.Run("zombies");

        said.Should().Contain($"(pid {pid}) has ended; its process object is kept by {Path.GetFileName(Environment.ProcessPath)} (pid {Environment.ProcessId},");
        said.Should().NotContain($"(pid {keeper.Id})", "it lives");
        said.Should().Contain("0 held by a driver");
        keeper.Kill();
    }

    [Fact]
    public void The_census_of_a_machine_that_tells_no_thread_states_says_so()
    {
        var census = ZombieCensus.OfThisMachine();
        census.Remaining.Should().NotContain(remaining => remaining.Why == Remnant.IrpZombie);
        if (Machine.IsWine) census.Unknown.Should().Contain("states of threads");
    }
}
