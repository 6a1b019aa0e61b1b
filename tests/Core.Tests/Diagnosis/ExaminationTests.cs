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
    [InlineData(WaitReason.Executive, "zombie-no-cancel-routine", "it has waited for 10 min, but by its name the routine of nt that waits is none of those that are known, and was inferred.")]
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

    [Theory]
    [InlineData(WaitReason.Executive, Standing.LikelyZombie)]
    [InlineData(WaitReason.DelayExecution, Standing.Unclear)]
    public void Where_a_build_of_nt_calls_its_routine_otherwise_only_the_wait_for_the_file_tells(WaitReason reason, Standing standing)
    {
        _scene.Kernel.Wait(_scene.Thread, reason, _scene.File + _scene.Kernel.Layout.FileObject.Event, [.. FakeKernel.Abort.Where(name => name != "IopCancelAlertedRequest")]);
        Look().Remains.Should().ContainSingle().Which.Standing.Should().Be(standing);
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

    [Theory]
    [InlineData(0, false, "'monitor.exe' (pid 1200) with handle 0x84 keeps it")]
    [InlineData(1, true, "'monitor.exe' (pid 1200) with handle 0x84 to a thread of it keeps it")]
    [InlineData(2, false, "'monitor.exe' (pid 1200) with handle 0x84 keeps it")]
    public void Who_has_the_handle_of_a_process_that_has_ended_is_told(int levels, bool toThread, string says)
    {
        _scene.EndFor("monitor.exe", levels, toThread);
        var remains = Look().Remains.Should().ContainSingle().Which;
        remains.Standing.Should().Be(Standing.Ended);
        remains.Says.Should().Contain(says);
        remains.Holders.Should().ContainSingle().Which.Should().BeEquivalentTo(new { Pid = DumpScene.Holder, Image = "monitor.exe", DumpScene.Handle });
    }

    [Fact]
    public void Of_a_process_that_nobody_has_a_handle_to_it_says_that_the_kernel_points_to_it()
    {
        _scene.EndFor("nobody.exe", levels: 0);
        _scene.Kernel.Memory.UInt64(new KernelAddress(_scene.Kernel.Memory.UInt64(_scene.Kernel.Memory.ActiveProcessHead + 8)) - _scene.Kernel.Layout.EProcess.ActiveProcessLinks + _scene.Kernel.Layout.EProcess.ObjectTable, 0);
        Look().Remains.Should().ContainSingle().Which.Says.Should().Contain("no handle; something in the kernel, such as a driver's reference, still points to it");
    }

    [Fact]
    public void A_process_that_is_on_no_list_is_found_by_its_ID_and_a_likely_zombie()
    {
        var (kernel, layout) = (_scene.Kernel, _scene.Kernel.Layout);
        kernel.Memory.Unlink(_scene.Process + layout.EProcess.ActiveProcessLinks);
        Look().Remains.Should().BeEmpty("nobody said where the table of process IDs is");
        kernel.Memory.ProcessIdTable = _scene.ProcessIdTable;
        var seen = Look();
        seen.Processes.Should().Be(2);
        var zombie = seen.Zombies.Should().ContainSingle().Which;
        zombie.Standing.Should().Be(Standing.LikelyZombie);
        zombie.Process.Should().BeEquivalentTo(new { Pid = DumpScene.Victim, Listed = false, FoundIn = "the table of process IDs" });
        zombie.Zombie!.Stuck.Driver.Should().Be("sample.sys");
    }

    [Fact]
    public void A_process_on_no_list_that_nobody_killed_is_not_told()
    {
        var (kernel, layout) = (_scene.Kernel, _scene.Kernel.Layout);
        kernel.Memory.Unlink(_scene.Process + layout.EProcess.ActiveProcessLinks);
        kernel.Memory.UInt32(_scene.Process + layout.EProcess.Flags, 0);
        kernel.Memory.ProcessIdTable = _scene.ProcessIdTable;
        Look().Remains.Should().BeEmpty();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_filter_that_waits_for_the_driver_below_is_told_with_it(bool ownIrp)
    {
        var kernel = _scene.Kernel;
        var layout = kernel.Layout;
        var lowerBase = new KernelAddress(0xFFFFF803_60000000);
        kernel.AddModule("lower.sys", lowerBase, new FakeImage(0x4000).Build());
        var lower = kernel.AddDevice("Lower", kernel.AddDriver(lowerBase, @"\Driver\Lower"));
        var irp = kernel.AddIrp(_scene.Thread, lower, _scene.File, stackCount: 2, current: 1);
        kernel.Memory.ListHead(_scene.Thread + layout.EThread.IrpList);
        kernel.OnThreadList(_scene.Thread, irp);
        var parked = kernel.Allocate(0x20);
        if (ownIrp) kernel.Memory.Pointer(irp + layout.Irp.UserEvent, parked);
        else
        {
            kernel.Memory.Pointer(kernel.Location(irp, 1) + layout.StackLocation.CompletionRoutine, FakeKernel.DriverBase + 0x1100);
            kernel.Memory.Pointer(kernel.Location(irp, 1) + layout.StackLocation.Context, parked);
        }

        kernel.Wait(_scene.Thread, WaitReason.Executive, parked, ["KeWaitForSingleObject", FakeKernel.Dispatch, "NtDeviceIoControlFile"]);
        var remains = Look().Remains.Should().ContainSingle().Which;
        remains.Zombie!.Id.Should().Be("blocked-in-dispatch");
        remains.Zombie.Stuck.Driver.Should().Be("sample.sys");
        remains.Zombie.Stuck.Irp!.Holder.Should().Be("lower.sys");
        remains.Says.Should().Contain("sample.sys waits in kernel mode on its caller's thread, and lower.sys below it has an IRP of this thread");
    }

    [Theory]
    [InlineData(WaitReason.Executive, 600 * 64, false, Standing.LikelyZombie, "Not certain: it has waited for 10 min, but how long ago the process was killed is not in memory: the wait may still end.")]
    [InlineData(WaitReason.Executive, 600 * 64, true, Standing.LikelyZombie, "Not certain: it has waited for 10 min, but the driver's wait has a time limit, after which it may go on or wait again.")]
    [InlineData(WaitReason.Executive, 1, true, Standing.LikelyZombie, "the driver's wait has a time limit, after which it may go on or wait again.")]
    [InlineData(WaitReason.Executive, 1, false, Standing.Unclear, "too soon to tell a zombie from a process that goes later.")]
    [InlineData(WaitReason.DelayExecution, 0, false, Standing.LikelyZombie, "the driver's wait has a time limit, after which it may go on or wait again.")]
    public void A_driver_s_own_wait_is_never_certain(WaitReason reason, uint ticks, bool timer, Standing standing, string says)
    {
        var (kernel, thread) = (_scene.Kernel, _scene.Kernel.Layout.KThread);
        kernel.Wait(_scene.Thread, reason, kernel.Allocate(0x20), ["KeWaitForSingleObject", FakeKernel.Dispatch, "NtDeviceIoControlFile"]);
        // TimerMiscFlags: the timer counts, in some slot of its table.
        if (timer) kernel.Memory.Byte(_scene.Thread + thread.Timer + 3, 0x40 | 0x15);
        else kernel.Memory.Byte(_scene.Thread + thread.Timer + 3, 0x80 | 0x15);
        _scene.WaitedFor(ticks);
        var remains = Look().Remains.Should().ContainSingle().Which;
        remains.Standing.Should().Be(standing);
        remains.Zombie!.Id.Should().Be("blocked-in-dispatch");
        remains.Zombie.Stuck.Driver.Should().Be("sample.sys");
        remains.Says.Should().EndWith(says);
    }

    [Fact]
    public void What_was_found_by_searching_the_stack_is_never_certain()
    {
        // KeWaitForSingleObject's function table entry is not what it should be: its unwind information lies outside of the image.
        var kernel = _scene.Kernel;
        var entry = FakeKernel.KernelBase + 0x4000 + ((ulong)Array.IndexOf(FakeKernel.Abort, "KeWaitForSingleObject") * 12) + 8;
        kernel.Memory.UInt32(entry, 0x7000_0000);
        var remains = Look().Remains.Should().ContainSingle().Which;
        remains.Standing.Should().Be(Standing.LikelyZombie);
        remains.Zombie!.Id.Should().Be("zombie-no-cancel-routine");
        remains.Says.Should().EndWith("Not certain: its stack could not be unwound, and was searched for return addresses.");
        remains.Process.Threads[0].Stack.Select(f => f.Guessed).Should().StartWith([false, false, true, true]);
    }

    [Fact]
    public void The_version_of_the_guilty_driver_is_told()
    {
        // IMAGE_DIRECTORY_ENTRY_RESOURCE, a tree of one leaf, and VS_FIXEDFILEINFO behind the key of VS_VERSIONINFO.
        const uint Rva = 0x6800;
        var (memory, image) = (_scene.Kernel.Memory, FakeKernel.DriverBase);
        memory.UInt32(image + 0x80 + 8, 0x5F3E_2D1C);
        memory.UInt32(image + 0x80 + 0x88 + 16, Rva);
        memory.UInt32(image + 0x80 + 0x8C + 16, 0x200);
        foreach (var (directory, id, offset) in new (uint, uint, uint)[] { (0, 16, 0x8000_0020), (0x20, 1, 0x8000_0040), (0x40, 0x409, 0x60) })
        {
            memory.UInt16(image + Rva + directory + 14, 1);
            memory.UInt32(image + Rva + directory + 16, id);
            memory.UInt32(image + Rva + directory + 20, offset);
        }

        memory.UInt32(image + Rva + 0x60, Rva + 0x80);
        memory.UInt32(image + Rva + 0x64, 0x100);
        memory.UInt32(image + Rva + 0x80 + 0x28, 0xFEEF04BD);
        memory.UInt32(image + Rva + 0x80 + 0x30, 0x0002_0003);
        memory.UInt32(image + Rva + 0x80 + 0x34, 0x0004_0005);
        Look().Remains.Should().ContainSingle().Which.Module.Should().Be(new ModuleRecord("sample.sys", image, 0x8000, "2.3.4.5", 0x5F3E_2D1C));
        memory.UInt32(image + Rva + 0x80 + 0x28, 0);
        Look().Remains.Should().ContainSingle().Which.Module!.Version.Should().BeNull("there is no version resource any more");
    }

    [Fact]
    public void Devices_that_are_attached_to_the_one_that_has_the_IRP_are_told()
    {
        var (kernel, layout) = (_scene.Kernel, _scene.Kernel.Layout);
        var device = kernel.AddDevice("Middle");
        var (top, bottom) = (kernel.AddDevice(null), kernel.AddDevice("Bottom"));
        kernel.Attach(top, device);
        kernel.Attach(device, bottom);
        kernel.Memory.Pointer(kernel.Location(_scene.Irp, 1) + layout.StackLocation.DeviceObject, device);
        var irp = Look().Zombies.Should().ContainSingle().Which.Zombie!.Stuck.Irp!;
        irp.DeviceStack!.Select(d => d.Name).Should().Equal(top.ToString(), @"\Device\Middle", @"\Device\Bottom");
        DebuggerText.Irp(irp).Should().Contain(line => line.StartsWith('>') && line.EndsWith(@"sample.sys  \Device\Middle", StringComparison.Ordinal));
        kernel.Attach(bottom, top);
        Look().Notes.Should().Contain(note => note.Contains("below and above it"), "devices in a circle end the walk");
    }

    [Theory]
    [InlineData("Wdf01000.sys", true, "sample.sys", "how long ago the process was killed is not in memory: the wait may still end.")]
    [InlineData("Wdf01000.sys", false, "Wdf01000.sys", "Wdf01000.sys is a framework of Windows, and for which driver it waits cannot be told.")]
    [InlineData("lower.sys", true, "lower.sys", "how long ago the process was killed is not in memory: the wait may still end.")]
    public void A_framework_that_waits_is_not_to_blame_where_the_driver_that_called_it_is_known(string module, bool called, string blamed, string doubt)
    {
        var at = new KernelAddress(0xFFFFF803_60000000);
        _scene.Kernel.AddModule(module, at, FakeKernel.DriverImage());
        _scene.Kernel.Wait(_scene.Thread, WaitReason.Executive, _scene.Kernel.Allocate(0x20), ["KeWaitForSingleObject", at.ToString(), .. called ? new[] { FakeKernel.Dispatch } : [], "NtDeviceIoControlFile"]);
        var remains = Look().Remains.Should().ContainSingle().Which;
        remains.Standing.Should().Be(Standing.LikelyZombie);
        remains.Zombie!.Stuck.Driver.Should().Be(blamed);
        remains.Says.Should().EndWith(doubt);
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
