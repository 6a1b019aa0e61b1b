using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Diagnosis;

public class KernelViewTests
{
    public static TheoryData<int> Builds => [14393, 17763, 18362, 19041, 20348, 22000, 22621, 22631, 26100];

    [Theory, MemberData(nameof(Builds))]
    public void A_zombie_is_seen_whole_in_every_build(int build)
    {
        var kernel = new FakeKernel(build);
        kernel.AddProcess(4, "System");
        var process = kernel.AddProcess(412, "victim.exe");
        kernel.Terminate(process);
        var thread = kernel.AddThread(process, 416);
        var device = kernel.AddDevice("Sample");
        var file = kernel.AddFile(device);
        var irp = kernel.AddIrp(thread, device, file);
        kernel.Memory.Byte(irp + kernel.Layout.Irp.Cancel, 1);
        kernel.OnThreadList(thread, irp);
        kernel.Wait(thread, WaitReason.Executive, file + kernel.Layout.FileObject.Event, FakeKernel.Abort);

        var view = kernel.View();
        var records = view.Processes();

        view.Notes.Should().BeEmpty();
        records.Select(record => record.Pid).Should().Equal(4, 412);
        var victim = records[1];
        victim.Should().BeEquivalentTo(new { Address = process, Image = "victim.exe", Listed = true, Deleting = true, Exiting = false, Signalled = false, ExitStatus = NtStatus.Pending, Notes = (object?)null });
        var stuck = victim.Threads.Should().ContainSingle().Subject;
        stuck.Should().BeEquivalentTo(new { Address = thread, Tid = 416, State = ThreadState.Waiting, WaitReason = WaitReason.Executive, WaitMode = ProcessorMode.KernelMode, Alertable = false });
        stuck.WaitObject.Should().Be(new WaitObject(file + kernel.Layout.FileObject.Event, "NotificationEvent", $@"File {file} \Device\Sample (Event)"));
        stuck.Stack.Select(frame => frame.Name).Should().Contain("nt!IopCancelAlertedRequest+0x20").And.HaveCount(7);
        var held = stuck.Irps.Should().ContainSingle().Subject;
        held.Should().BeEquivalentTo(new { Address = irp, List = "thread", Cancel = true, CancelRoutine = (string?)null, StackCount = 1, CurrentLocation = 1, Thread = thread, Holder = "sample.sys", Device = @"\Device\Sample", Flags = 0x60070u });
        held.Locations.Should().ContainSingle().Which.Should().BeEquivalentTo(new
        {
            Number = 1,
            Current = true,
            Major = IrpMajor.DeviceControl,
            Ioctl = 0x222008u,
            Pending = true,
            DeviceAddress = device,
            Device = @"\Device\Sample",
            Driver = "sample.sys",
            FileObject = file,
            CompletionRoutine = (string?)null,
        });
    }

    [Fact]
    public void Only_the_wanted_processes_are_read_further()
    {
        var kernel = new FakeKernel();
        for (var pid = 4; pid < 400; pid += 4) kernel.AddThread(kernel.AddProcess(pid, $"p{pid}.exe"), pid + 1);
        var view = kernel.View();
        var before = kernel.Memory.Reads;
        view.Processes(pid => pid == 200).Should().ContainSingle().Which.Image.Should().Be("p200.exe");
        (kernel.Memory.Reads - before).Should().BeLessThan(300);
    }

    [Fact]
    public void A_process_no_longer_on_the_list_is_found_by_its_address()
    {
        var kernel = new FakeKernel();
        var process = kernel.AddProcess(412, "gone.exe");
        kernel.Memory.UInt32(process + kernel.Layout.DispatcherHeader.SignalState, 1);
        kernel.Memory.UInt32(process + kernel.Layout.EProcess.ExitStatus, 0);
        kernel.Memory.UInt32(process + kernel.Layout.EProcess.Flags, 0xC);
        kernel.View().ProcessAt(process)!.Listed.Should().BeTrue();

        kernel.Memory.Unlink(process + kernel.Layout.EProcess.ActiveProcessLinks);
        kernel.View().Processes().Should().BeEmpty();
        kernel.View().ProcessAt(process).Should().BeEquivalentTo(new { Pid = 412, Image = "gone.exe", Listed = false, Signalled = true, Deleting = true, Exiting = true, ExitStatus = NtStatus.Success, Notes = (object?)null });
    }

    [Fact]
    public void On_a_damaged_process_list_nothing_is_said_to_be_missing_for_sure()
    {
        var kernel = new FakeKernel();
        var first = kernel.AddProcess(4, "System");
        kernel.AddProcess(8, "lost.exe");
        var hidden = kernel.AddProcess(12, "hidden.exe");
        kernel.Memory.Unlink(hidden + kernel.Layout.EProcess.ActiveProcessLinks);
        kernel.Memory.UInt64(first + kernel.Layout.EProcess.ActiveProcessLinks, 0);

        var view = kernel.View();
        view.Processes().Select(process => process.Pid).Should().Equal([4, 8], "the list is whole backwards");
        view.Notes.Should().ContainSingle().Which.Should().StartWith("the process list");
        view.ProcessAt(hidden)!.Notes.Should().ContainSingle().Which.Should().Contain("may be on it all the same");
    }

    [Fact]
    public void What_is_no_process_or_is_absent_gives_no_record()
    {
        var kernel = new FakeKernel();
        var thread = kernel.AddThread(kernel.AddProcess(412, "victim.exe"), 416);
        var view = kernel.View();
        view.ProcessAt(thread).Should().BeNull();
        view.ProcessAt(new KernelAddress(0x1000)).Should().BeNull();
        view.ProcessAt(new KernelAddress(0xFFFFC000_00000000)).Should().BeNull();
        view.Notes.Should().HaveCount(3);
    }

    [Fact]
    public void An_unknown_build_is_refused()
    {
        var kernel = new FakeKernel();
        kernel.Memory.Build = 9600;
        var look = () => kernel.View();
        look.Should().Throw<UnknownBuildException>();
    }

    [Fact]
    public void Ended_threads_are_left_out_and_running_ones_have_no_stack()
    {
        var kernel = new FakeKernel();
        var process = kernel.AddProcess(412, "victim.exe");
        kernel.AddThread(process, 416, ThreadState.Terminated);
        kernel.AddThread(process, 420, ThreadState.Running);
        kernel.Stack(kernel.AddThread(process, 424, ThreadState.Ready), FakeKernel.Abort);
        var threads = kernel.View().ProcessAt(process)!.Threads;
        threads.Select(thread => (thread.Tid, thread.State, thread.Stack.Count, thread.WaitObject)).Should()
            .Equal((420, ThreadState.Running, 0, null), (424, ThreadState.Ready, 7, null));
    }

    [Fact]
    public void A_thread_of_another_process_is_not_taken_for_one_of_this()
    {
        var kernel = new FakeKernel();
        var process = kernel.AddProcess(412, "victim.exe");
        var other = kernel.AddThread(kernel.AddProcess(500, "other.exe"), 504);
        kernel.Memory.Append(process + kernel.Layout.EProcess.ThreadListHead, other + kernel.Layout.EThread.ThreadListEntry);
        var record = kernel.View().Processes(pid => pid == 412).Single();
        record.Threads.Should().BeEmpty();
        record.Notes.Should().Contain(note => note.Contains($"{other} is not a thread of it"));
    }

    [Fact]
    public void What_cannot_be_read_of_a_process_is_noted_every_time_it_is_looked_at()
    {
        var kernel = new FakeKernel();
        var process = kernel.AddProcess(412, "victim.exe");
        var thread = kernel.AddThread(process, 416);
        kernel.Memory.UInt64(thread + kernel.Layout.EThread.IrpList, 0xDEAD);
        var view = kernel.View();
        view.ProcessAt(process)!.Notes.Should().ContainSingle().Which.Should().StartWith("the IRP list of thread");
        view.ProcessAt(process)!.Notes.Should().ContainSingle();
        view.Notes.Should().ContainSingle();
    }
}
