using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Diagnosis;

public class WaitObjectTests
{
    private readonly FakeKernel _kernel = new();
    private readonly KernelAddress _process;
    private readonly KernelAddress _thread;

    public WaitObjectTests()
    {
        _process = _kernel.AddProcess(412, "victim.exe");
        _thread = _kernel.AddThread(_process, 416);
    }

    [Theory]
    [InlineData(0, "NotificationEvent")]
    [InlineData(1, "SynchronizationEvent")]
    [InlineData(2, "Mutant")]
    [InlineData(4, "Queue")]
    [InlineData(5, "Semaphore")]
    [InlineData(8, "Timer")]
    [InlineData(9, "Timer")]
    [InlineData(0x81, "SynchronizationEvent")] // with the lock bit
    [InlineData(0x15, "type 0x15")]
    public void The_dispatcher_header_tells_the_type(int type, string name)
    {
        var target = _kernel.Allocate(0x20);
        _kernel.Memory.Byte(target, type);
        WaitFor(target).Should().Be(new WaitObject(target, name, null));
    }

    [Fact]
    public void A_process_or_a_thread_is_itself()
    {
        var other = _kernel.AddProcess(500, "other.exe");
        WaitFor(other).Should().Be(new WaitObject(other, "Process", $"Process {other} other.exe"));
        var sibling = _kernel.AddThread(_process, 420);
        WaitFor(sibling).Should().Be(new WaitObject(sibling, "Thread", $"Thread {sibling}"));
    }

    [Fact]
    public void The_lock_of_a_file_is_found_without_any_irp()
    {
        var file = _kernel.AddFile(_kernel.AddDevice("Sample"), @"\Below");
        var @lock = file + _kernel.Layout.FileObject.Lock;
        WaitFor(@lock).Should().Be(new WaitObject(@lock, "SynchronizationEvent", $@"File {file} \Device\Sample\Below (Lock)"));
    }

    [Fact]
    public void What_only_lies_where_a_file_could_be_is_no_file()
    {
        var file = _kernel.AddFile(_kernel.AddDevice("Sample"));
        _kernel.Memory.UInt16(file + _kernel.Layout.FileObject.Size, 0x20);
        WaitFor(file + _kernel.Layout.FileObject.Event)!.BelongsTo.Should().BeNull();
    }

    [Fact]
    public void An_event_in_a_device_extension_a_module_or_on_a_stack_is_told_by_its_place()
    {
        var device = _kernel.AddDevice("Sample");
        var irp = _kernel.AddIrp(_thread, device, _kernel.AddFile(device));
        _kernel.OnThreadList(_thread, irp);
        WaitFor(device + _kernel.Layout.DeviceObject.SizeInBytes + 0x28)!.BelongsTo.Should().Be($@"Device {device} \Device\Sample (extension+0x28)");
        WaitFor(FakeKernel.DriverBase + 0x3040)!.BelongsTo.Should().Be("sample.sys+0x3040");

        var stack = new KernelAddress(_kernel.Memory.UInt64(_thread + _kernel.Layout.KThread.StackBase)) - 0x2000;
        WaitFor(stack)!.BelongsTo.Should().Be($"the stack of thread {_thread}");
        var sibling = _kernel.AddThread(_process, 420);
        WaitFor(new KernelAddress(_kernel.Memory.UInt64(sibling + _kernel.Layout.KThread.StackLimit)) + 0x100)!.BelongsTo.Should().Be($"the stack of thread {sibling}");
    }

    [Fact]
    public void The_event_of_an_overlapped_request_is_the_irps()
    {
        var irp = _kernel.AddIrp(_thread, _kernel.AddDevice("Sample"), KernelAddress.Null);
        var userEvent = _kernel.Allocate(0x20);
        _kernel.Memory.Pointer(irp + _kernel.Layout.Irp.UserEvent, userEvent);
        _kernel.OnThreadList(_thread, irp);
        WaitFor(userEvent)!.BelongsTo.Should().Be($"IRP {irp} (UserEvent)");
    }

    [Fact]
    public void A_delay_has_no_object_but_the_threads_own_timer()
    {
        var stale = _kernel.AddFile(_kernel.AddDevice("Sample")) + _kernel.Layout.FileObject.Event;
        WaitFor(stale, WaitReason.DelayExecution).Should().BeNull("an earlier wait's block may still be there");

        var timer = _thread + 0x100;
        _kernel.Memory.Byte(timer, 9);
        WaitFor(timer, WaitReason.DelayExecution).Should().Be(new WaitObject(timer, "Timer", $"Thread {_thread} (Timer)"));
        _kernel.Memory.Pointer(_thread + _kernel.Layout.KThread.WaitBlockList, KernelAddress.Null);
        Read().WaitObject.Should().BeNull();
    }

    [Fact]
    public void Mode_and_alertability_are_the_threads()
    {
        _kernel.Wait(_thread, WaitReason.UserRequest, _kernel.Allocate(0x20), FakeKernel.Abort, ProcessorMode.UserMode, alertable: true);
        Read().Should().BeEquivalentTo(new { WaitReason = WaitReason.UserRequest, WaitMode = ProcessorMode.UserMode, Alertable = true });
    }

    [Fact]
    public void A_wait_block_of_another_thread_is_not_believed()
    {
        var target = _kernel.Allocate(0x20);
        WaitFor(target).Should().NotBeNull();
        _kernel.Memory.Pointer(_thread + _kernel.Layout.KThread.WaitBlock + _kernel.Layout.WaitBlock.Thread, _process);
        var record = _kernel.View().ProcessAt(_process)!;
        record.Threads.Single().WaitObject.Should().BeNull();
        record.Notes.Should().ContainSingle().Which.Should().Contain("wait block");
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(0x1000ul)]
    [InlineData(0xFFFFDDDD_00000000ul)]
    public void A_wait_block_list_that_leads_nowhere_is_noted(ulong lie)
    {
        WaitFor(_kernel.Allocate(0x20));
        _kernel.Memory.UInt64(_thread + _kernel.Layout.KThread.WaitBlockList, lie);
        var record = _kernel.View().ProcessAt(_process)!;
        record.Threads.Single().WaitObject.Should().BeNull();
        record.Notes.Should().ContainSingle().Which.Should().Contain("wait block");
    }

    private WaitObject? WaitFor(KernelAddress target, WaitReason reason = WaitReason.Executive)
    {
        _kernel.Wait(_thread, reason, target, FakeKernel.Abort);
        return Read().WaitObject;
    }

    private ThreadRecord Read() => _kernel.View().ProcessAt(_process)!.Threads.Single(thread => thread.Address == _thread);
}
