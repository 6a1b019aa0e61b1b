using Core.Tests.Dumps;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Diagnosis;

/// <summary>A whole machine's memory is looked through for processes that were killed and cannot end.</summary>
public class ExaminationTests
{
    private readonly DumpScene _scene = new();

    [Fact]
    public void A_killed_process_whose_request_a_driver_holds_is_a_zombie()
    {
        var seen = Look();
        seen.Should().BeEquivalentTo(new { Processes = 3, Modules = 2 });
        seen.Notes.Should().BeEmpty();
        var zombie = seen.Remains.Should().ContainSingle().Which;
        zombie.Standing.Should().Be(Standing.Zombie);
        zombie.Waited.Should().Be(TimeSpan.FromMinutes(10));
        zombie.Zombie!.Id.Should().Be("zombie-no-cancel-routine");
        zombie.Zombie.Stuck.Should().BeEquivalentTo(new { Driver = "sample.sys", Function = "nt!IopCancelAlertedRequest", Irp = new { Address = _scene.Irp } });
        zombie.Says.Should().Be($@"'victim.exe' (pid 412): sample.sys holds 1 IRP without a cancel routine. Thread 416 waits in nt!IopCancelAlertedRequest: (Executive) KernelMode Non-Alertable. "
            + $@"It has IRP {_scene.Irp} (IRP_MJ_DEVICE_CONTROL 0x222008 on \Device\Sample), current stack location 1 of 1. It has waited for 10 min.");
        zombie.Facts.Should().OnlyContain(fact => fact.Holds == true);
    }

    [Fact]
    public void The_same_process_that_nobody_killed_is_none()
    {
        _scene.Kernel.Memory.UInt32(_scene.Process + _scene.Kernel.Layout.EProcess.Flags, 0);
        Look().Remains.Should().BeEmpty();
    }

    [Fact]
    public void A_wait_that_has_only_begun_is_unclear()
    {
        _scene.WaitedFor(ticks: 10);
        Look().Remains.Should().ContainSingle().Which.Should().Match<Remains>(r => r.Standing == Standing.Unclear && r.Says.EndsWith("It has waited for 156 ms: too soon to tell a zombie from a process that goes later."));
    }

    [Fact]
    public void A_poll_is_a_likely_zombie()
    {
        _scene.Kernel.Memory.Byte(_scene.Thread + _scene.Kernel.Layout.KThread.WaitReason, (int)WaitReason.DelayExecution);
        var zombie = Look().Zombies.Should().ContainSingle().Which;
        zombie.Standing.Should().Be(Standing.LikelyZombie);
        zombie.Zombie!.Id.Should().Be("zombie-cancel-routine-did-not-complete");
    }

    [Fact]
    public void An_IRP_that_was_not_cancelled_leaves_it_unclear()
    {
        _scene.Kernel.Memory.Byte(_scene.Irp + _scene.Kernel.Layout.Irp.Cancel, 0);
        Look().Remains.Should().ContainSingle().Which.Should().Match<Remains>(r => r.Standing == Standing.Unclear && r.Says.Contains("not so: Irp.Cancel is set"));
    }

    [Theory]
    [InlineData(WaitReason.Executive, "zombie-no-cancel-routine", "it has waited for 10 min, but nt's own routines have no names here, and the one that waits was inferred.")]
    [InlineData(WaitReason.DelayExecution, "zombie-cancel-routine-did-not-complete", "the wait is renewed every few milliseconds.")]
    public void Without_symbols_the_wait_and_the_IRP_tell_a_likely_zombie(WaitReason reason, string finding, string says)
    {
        var scene = new DumpScene(exportsAll: false);
        scene.Kernel.Memory.Byte(scene.Thread + scene.Kernel.Layout.KThread.WaitReason, (int)reason);
        var remains = Examination.Of(scene.Kernel.Memory).Remains.Should().ContainSingle().Which;
        remains.Standing.Should().Be(Standing.LikelyZombie);
        remains.Zombie!.Id.Should().Be(finding);
        remains.Zombie.Stuck.Should().BeEquivalentTo(new { Driver = "sample.sys", Inferred = true, Place = "nt+0x1120" });
        remains.Says.Should().EndWith(says);
    }

    [Fact]
    public void Without_symbols_and_without_cancellation_nothing_is_inferred()
    {
        var scene = new DumpScene(exportsAll: false);
        scene.Kernel.Memory.Byte(scene.Irp + scene.Kernel.Layout.Irp.Cancel, 0);
        Examination.Of(scene.Kernel.Memory).Remains.Should().ContainSingle().Which.Standing.Should().Be(Standing.Unclear);
    }

    [Fact]
    public void Without_symbols_a_wait_for_something_else_is_not_explained()
    {
        var scene = new DumpScene(exportsAll: false);
        scene.Kernel.Memory.Pointer(scene.Thread + scene.Kernel.Layout.KThread.WaitBlock + scene.Kernel.Layout.WaitBlock.Object, scene.Process);
        Examination.Of(scene.Kernel.Memory).Remains.Should().ContainSingle().Which.Standing.Should().Be(Standing.Unclear);
    }

    [Fact]
    public void Only_the_very_kernel_of_a_PDB_has_its_symbols()
    {
        var symbols = NtSymbols.OfPdb("89284D0CA6ACC8274B9A44BD5AF9290B1");
        symbols.At(symbols["IopCancelAlertedRequest"]!.Value).Should().Be("IopCancelAlertedRequest");
        NtSymbols.OfPdb("89284D0CA6ACC8274B9A44BD5AF9290B2")["IopCancelAlertedRequest"].Should().BeNull("another kernel's symbols are nobody's");
    }

    [Fact]
    public void A_driver_that_sent_the_IRP_down_is_told()
    {
        var kernel = _scene.Kernel;
        var lowerBase = new KernelAddress(0xFFFFF803_60000000);
        kernel.AddModule("lower.sys", lowerBase, new FakeImage(0x4000).Build());
        var lower = kernel.AddDevice(null, kernel.AddDriver(lowerBase, @"\Driver\Lower"));
        var irp = kernel.AddIrp(_scene.Thread, kernel.AddDevice("Upper"), _scene.File, stackCount: 2, current: 1);
        kernel.Memory.Pointer(kernel.Location(irp, 1) + kernel.Layout.StackLocation.DeviceObject, lower);
        kernel.Memory.Byte(irp + kernel.Layout.Irp.Cancel, 1);
        kernel.Memory.ListHead(_scene.Thread + kernel.Layout.EThread.IrpList);
        kernel.OnThreadList(_scene.Thread, irp);
        var zombie = Look().Zombies.Should().ContainSingle().Which;
        zombie.Zombie!.Stuck.Driver.Should().Be("lower.sys");
        zombie.Says.Should().Contain("current stack location 1 of 2; sample.sys sent it down.");
    }

    [Fact]
    public void A_process_whose_object_alone_is_left_has_ended()
    {
        var (kernel, layout) = (_scene.Kernel, _scene.Kernel.Layout);
        kernel.Memory.UInt64(_scene.Process - layout.ObjectHeader.Body + layout.ObjectHeader.HandleCount, 2);
        kernel.Memory.ListHead(_scene.Process + layout.EProcess.ThreadListHead);
        kernel.Memory.UInt32(_scene.Process + layout.DispatcherHeader.SignalState, 1);
        var seen = Look();
        seen.Zombies.Should().BeEmpty();
        seen.Remains.Should().ContainSingle().Which.Should().Match<Remains>(r => r.Standing == Standing.Ended && r.Says.Contains("2 open handles"));
    }

    [Fact]
    public void A_stack_that_cannot_be_read_leaves_it_unclear()
    {
        var stack = _scene.Kernel.Memory.UInt64(_scene.Thread + _scene.Kernel.Layout.KThread.StackLimit);
        _scene.Kernel.Memory.Remove(new KernelAddress(stack), 0x6000);
        var remains = Look().Remains.Should().ContainSingle().Which;
        remains.Standing.Should().Be(Standing.Unclear);
        remains.Process.Notes.Should().NotBeEmpty();
    }

    [Fact]
    public void A_process_list_that_is_damaged_is_noted()
    {
        _scene.Kernel.Memory.Pointer(_scene.Kernel.Memory.ActiveProcessHead, new KernelAddress(0xFFFFA0FF_00000000));
        Look().Notes.Should().Contain(note => note.Contains("the process list"));
    }

    private Examination Look() => Examination.Of(_scene.Kernel.Memory);
}
