using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Diagnosis;

public class IrpWalkTests
{
    private readonly FakeKernel _kernel = new();
    private readonly KernelAddress _process;
    private readonly KernelAddress _thread;
    private readonly KernelAddress _device;
    private readonly KernelAddress _file;

    public IrpWalkTests()
    {
        _process = _kernel.AddProcess(412, "victim.exe");
        _thread = _kernel.AddThread(_process, 416);
        _device = _kernel.AddDevice("Sample");
        _file = _kernel.AddFile(_device);
    }

    [Fact]
    public void Every_location_of_a_stack_is_read_and_the_current_driver_holds_it()
    {
        var lowerBase = new KernelAddress(0xFFFFF803_60000000);
        _kernel.AddModule("lower.sys", lowerBase, new FakeImage(0x4000).Build());
        var lower = _kernel.AddDevice(null, _kernel.AddDriver(lowerBase, @"\Driver\Lower"));
        var irp = Add(stackCount: 3, current: 1);
        var location = _kernel.Location(irp, 1);
        _kernel.Memory.Pointer(location + _kernel.Layout.StackLocation.DeviceObject, lower);
        _kernel.Memory.Pointer(_kernel.Location(irp, 2) + _kernel.Layout.StackLocation.CompletionRoutine, FakeKernel.DriverBase + 0x1234);
        _kernel.Memory.Pointer(irp + _kernel.Layout.Irp.CancelRoutine, lowerBase + 0x1010);

        var record = Irps().Single();

        record.Should().BeEquivalentTo(new { CancelRoutine = "lower.sys+0x1010", Holder = "lower.sys", Device = lower.ToString(), StackCount = 3, CurrentLocation = 1 });
        record.Locations.Select(l => (l.Number, l.Current, l.Device, l.Driver, l.CompletionRoutine)).Should().Equal(
            (3, false, @"\Device\Sample", "sample.sys", null), (2, false, @"\Device\Sample", "sample.sys", "sample.sys+0x1234"), (1, true, lower.ToString(), "lower.sys", null));
        record.Locations[0].Arguments.Select(argument => argument.Value).Should().Equal(0x10, 0, 0x222008, 0);
    }

    [Theory]
    [InlineData(0x0E, true)]
    [InlineData(0x0F, true)]
    [InlineData(0x0D, true)]
    [InlineData(0x03, false)]
    public void Only_controls_have_a_code(int major, bool has)
    {
        var irp = Add();
        _kernel.Memory.Byte(_kernel.Location(irp, 1), major);
        Irps().Single().Locations.Single().Ioctl.Should().Be(has ? 0x222008u : null);
    }

    [Fact]
    public void A_completed_irp_is_held_by_nobody()
    {
        Add(stackCount: 2, current: 3);
        var record = Irps().Single();
        record.Holder.Should().BeNull();
        record.Device.Should().BeNull();
        record.Locations.Should().HaveCount(2).And.OnlyContain(location => !location.Current);
        Notes().Should().BeEmpty();
    }

    [Fact]
    public void A_device_has_its_full_name_with_creator_information_and_directories_before_it()
    {
        var deep = _kernel.NamedObject(0x40, "Harddisk0", _kernel.DeviceDirectory);
        var device = _kernel.NamedObject(_kernel.Layout.DeviceObject.SizeInBytes, "DR0", deep, creatorInfo: true);
        _kernel.Memory.UInt16(device, DeviceObjectLayout.TypeCode);
        _kernel.Memory.Pointer(device + _kernel.Layout.DeviceObject.DriverObject, _kernel.Driver);
        PutDevice(device);
        Irps().Single().Device.Should().Be(@"\Device\Harddisk0\DR0");
    }

    [Fact]
    public void Directories_in_a_circle_give_a_name_all_the_same()
    {
        var info = _kernel.DeviceDirectory - _kernel.Layout.ObjectHeader.Body - ObjectHeaderLayout.NameInfoSize;
        _kernel.Memory.Pointer(info, _kernel.DeviceDirectory);
        Add();
        Irps().Single().Device.Should().EndWith(@"\Device\Sample").And.HaveLength(15 * 7 + 7);
    }

    [Fact]
    public void A_driver_without_code_of_its_own_goes_by_its_name()
    {
        PutDevice(_kernel.AddDevice("Root", _kernel.AddDriver(KernelAddress.Null, @"\Driver\PnpManager")));
        Irps().Single().Holder.Should().Be(@"\Driver\PnpManager");
    }

    [Fact]
    public void A_device_that_is_none_is_its_address_and_its_driver_is_not_guessed()
    {
        var garbage = _kernel.Allocate(0x200);
        PutDevice(garbage);
        Irps().Single().Should().BeEquivalentTo(new { Device = garbage.ToString(), Holder = (string?)null });
        Notes().Should().ContainSingle().Which.Should().Contain("driver that holds the IRP");
    }

    [Fact]
    public void Irps_of_a_files_own_list_follow_those_of_the_thread()
    {
        var own = Add();
        var agnostic = _kernel.AddIrp(_thread, _device, _file);
        _kernel.OnFileList(_file, agnostic);
        Irps().Select(irp => (irp.Address, irp.List)).Should().Equal((own, "thread"), (agnostic, "file"));
    }

    [Fact]
    public void A_file_that_a_dying_thread_closes_is_found_on_its_stack()
    {
        // No handle and no thread's list leads to it any more.
        _kernel.Terminate(_process);
        var irp = _kernel.AddIrp(_thread, _device, _file);
        _kernel.OnFileList(_file, irp);
        _kernel.Wait(_thread, WaitReason.DelayExecution, KernelAddress.Null, FakeKernel.Rundown);
        var frames = _kernel.Stack(_thread, FakeKernel.Rundown);
        Irps().Should().BeEmpty();

        _kernel.Memory.Pointer(frames[1] + 0x30, _file);
        Irps().Select(found => (found.Address, found.List)).Should().Equal((irp, "file"));
        Notes().Should().BeEmpty();

        _kernel.Memory.UInt32(_process + _kernel.Layout.EProcess.Flags, 0);
        Irps().Should().BeEmpty("a living process has its handles to be found by");
    }

    [Fact]
    public void A_file_on_the_stack_without_requests_is_none_of_ours()
    {
        _kernel.Terminate(_process);
        _kernel.Wait(_thread, WaitReason.DelayExecution, KernelAddress.Null, FakeKernel.Rundown);
        _kernel.Memory.Pointer(_kernel.Stack(_thread, FakeKernel.Rundown)[1] + 0x30, _file);
        Irps().Should().BeEmpty();
        Notes().Should().BeEmpty();
    }

    [Fact]
    public void A_file_list_that_was_never_initialised_is_empty()
    {
        _kernel.Memory.Write(_file + _kernel.Layout.FileObject.IrpList, new byte[16]);
        Add();
        Irps().Should().ContainSingle();
        Notes().Should().BeEmpty();
    }

    [Fact]
    public void What_is_no_irp_is_left_out()
    {
        var freed = Add();
        var sound = Add();
        _kernel.Memory.UInt16(freed, 0x4652);
        Irps().Select(irp => irp.Address).Should().Equal(sound);
        Notes().Should().ContainSingle().Which.Should().Contain($"{freed} is not an IRP");
    }

    [Theory]
    [InlineData(127)]
    [InlineData(255)]
    public void A_stack_count_larger_than_the_irp_is_cut(int count)
    {
        var irp = Add();
        _kernel.Memory.Byte(irp + _kernel.Layout.Irp.StackCount, count);
        Irps().Single().Locations.Should().ContainSingle();
        Notes().Should().ContainSingle().Which.Should().Contain($"{count} stack locations");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    public void A_current_location_outside_of_the_stack_is_noted(int current)
    {
        Add(current: current);
        Irps().Single().Holder.Should().BeNull();
        Notes().Should().ContainSingle().Which.Should().Contain($"is {current} of 1");
    }

    [Fact]
    public void Two_accounts_of_the_current_location_must_agree()
    {
        var irp = Add(stackCount: 2, current: 2);
        _kernel.Memory.Pointer(irp + _kernel.Layout.Irp.CurrentStackLocation, _kernel.Location(irp, 1));
        Irps().Single().CurrentLocation.Should().Be(2);
        Notes().Should().ContainSingle().Which.Should().Contain("current location");
    }

    [Fact]
    public void An_irp_list_in_a_circle_is_left_with_what_it_had()
    {
        Add();
        var second = Add();
        _kernel.Memory.Pointer(second + _kernel.Layout.Irp.ThreadListEntry, second + _kernel.Layout.Irp.ThreadListEntry);
        Irps().Should().HaveCount(2);
        Notes().Should().ContainSingle().Which.Should().Contain("comes back");
    }

    private KernelAddress Add(int stackCount = 1, int? current = null)
    {
        var irp = _kernel.AddIrp(_thread, _device, _file, stackCount: stackCount, current: current);
        _kernel.OnThreadList(_thread, irp);
        return irp;
    }

    private void PutDevice(KernelAddress device) => _kernel.Memory.Pointer(_kernel.Location(Add(), 1) + _kernel.Layout.StackLocation.DeviceObject, device);

    private IReadOnlyList<IrpRecord> Irps() => Process().Threads.Single().Irps;

    private IReadOnlyList<string> Notes() => Process().Notes ?? [];

    private ProcessRecord Process() => _kernel.View().ProcessAt(_process)!;
}
