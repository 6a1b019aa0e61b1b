using FluentAssertions;
using Harness.Scenarios;
using Harness.Windows;
using Harness.Windows.Native;
using Xunit;

namespace Windows.Tests.OnWindows;

/// <summary>The service control manager: installing, starting, stopping, deleting, and what goes wrong with it.</summary>
public sealed class DriverServiceTests : IDisposable
{
    private const string Name = "DriverFault-service-tests";

    // Wine's service process says ERROR_DLL_INIT_FAILED of whatever it cannot load.
    private static readonly int[] NotLoaded = Machine.IsWine ? [1114] : [2, 193, 216];

    // Always the same, so that what a crashed test has left is removed by the next.
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), "driverfault-service-tests")).FullName;

    public DriverServiceTests() => Removed().Should().BeNull();

    public void Dispose()
    {
        Removed();
        Directory.Delete(_folder, recursive: true);
    }

    private string Image => Path.Combine(_folder, "driver.sys");

    private string? Removed() => DriverService.Remove(Name, Image, Machine.Waits);

    private string Driver(byte[] image)
    {
        File.WriteAllBytes(Image, image);
        return Image;
    }

    private static WindowsException Refused(Action act) => act.Should().Throw<WindowsException>().Which;

    [Fact]
    public void A_driver_is_installed_loaded_unloaded_and_removed()
    {
        using var service = DriverService.Install(Name, Driver(MyFault.Image()), Machine.Waits);
        using (var seen = ServiceControl.Open(Name)!) seen.State.Should().Be(ServiceState.Stopped);
        service.Start();
        using (var seen = ServiceControl.Open(Name)!) seen.State.Should().Be(ServiceState.Running);
        DeviceHandle.Open(MyFault.Device, overlapped: false, out var device).IsSuccess.Should().BeTrue();
        device.Dispose();

        service.Stop().Should().BeNull();
        DeviceHandle.Open(MyFault.Device, overlapped: false, out _).IsSuccess.Should().BeFalse("the driver has been unloaded");
        service.Delete().Should().BeNull();
        DriverService.Exists(Name).Should().BeFalse();
    }

    [Fact]
    public void A_signed_driver_is_loaded_as_the_unsigned_one_is()
    {
        var signed = Environment.GetEnvironmentVariable("DRIVERFAULT_SIGNED_DRIVER");
        Assert.SkipWhen(string.IsNullOrEmpty(signed), "nobody signed one (scripts/wine.sh does where osslsigncode is installed)");
        using var service = DriverService.Install(Name, Driver(File.ReadAllBytes(signed!)), Machine.Waits);
        service.Start();
        DeviceHandle.Open(MyFault.Device, overlapped: false, out var device).IsSuccess.Should().BeTrue();
        device.Dispose();
        service.Stop().Should().BeNull();
    }

    [Fact]
    public void Its_device_appears_in_the_object_namespace_and_goes()
    {
        using var service = DriverService.Install(Name, Driver(MyFault.Image()), Machine.Waits);
        ObjectDirectory.Names(@"\Device").Should().NotBeNull().And.NotContain("MyFault");
        service.Start();
        ObjectDirectory.Names(@"\Device").Should().Contain("MyFault");
        service.Stop().Should().BeNull();
        ObjectDirectory.Names(@"\Device").Should().NotContain("MyFault");
    }

    [Fact]
    public void A_driver_whose_file_is_not_there_does_not_start()
    {
        using var service = DriverService.Install(Name, Path.Combine(_folder, "nowhere.sys"), Machine.Waits);
        var refused = Refused(service.Start);
        refused.Code.Should().BeOneOf(NotLoaded);
        refused.Message.Should().Contain($"StartService({Name})");
        if (!Machine.IsWine) refused.Message.Should().Contain("file is not where its service says");
    }

    [Fact]
    public void A_file_that_is_no_driver_does_not_start()
    {
        using var service = DriverService.Install(Name, Driver("this is text"u8.ToArray()), Machine.Waits);
        Refused(service.Start).Code.Should().BeOneOf(NotLoaded);
        using var seen = ServiceControl.Open(Name)!;
        seen.State.Should().Be(ServiceState.Stopped);
    }

    [Fact]
    public void A_driver_for_another_processor_does_not_start()
    {
        var image = MyFault.Image();
        BitConverter.GetBytes((ushort)0x14C).CopyTo(image, BitConverter.ToInt32(image, 0x3C) + 4);
        using var service = DriverService.Install(Name, Driver(image), Machine.Waits);
        Refused(service.Start).Code.Should().BeOneOf(NotLoaded);
    }

    [Fact]
    public void A_driver_whose_entry_fails_does_not_start_and_is_removed()
    {
        using var service = DriverService.Install(Name, Driver(File.ReadAllBytes(SourceTree.File("tests", "drivers", "bin", "gcc-O2", "failing-entry.sys"))), Machine.Waits);
        Refused(service.Start).Code.Should().NotBe(0);
        service.Delete().Should().BeNull();
        DriverService.Exists(Name).Should().BeFalse();
    }

    [Fact]
    public void A_loaded_driver_is_not_loaded_again()
    {
        using var service = DriverService.Install(Name, Driver(MyFault.Image()), Machine.Waits);
        service.Start();
        var refused = Refused(service.Start);
        refused.Code.Should().Be(1056);
        refused.Message.Should().Contain("loaded already");
    }

    [Fact]
    public void An_installed_driver_is_not_installed_again()
    {
        using var service = DriverService.Install(Name, Driver(MyFault.Image()), Machine.Waits);
        Refused(() => ServiceControl.Create(Name, Driver(MyFault.Image())).Dispose()).Code.Should().Be(1073);
    }

    [Fact]
    public void Without_the_right_to_start_access_is_denied()
    {
        using var service = DriverService.Install(Name, Driver(MyFault.Image()), Machine.Waits);
        using var looker = ServiceControl.Open(Name, ServiceControl.QueryStatus)!;
        looker.State.Should().Be(ServiceState.Stopped);
        Refused(looker.StartDriver).Message.Should().Contain("error 5").And.Contain("administrator");
        Refused(looker.DeleteIt).Code.Should().Be(5);
    }

    [Fact]
    public void Stopping_what_does_not_run_is_no_error()
    {
        using var service = DriverService.Install(Name, Driver(MyFault.Image()), Machine.Waits);
        service.Stop().Should().BeNull();
    }

    [Fact]
    public void Removing_what_is_not_there_is_no_error() => DriverService.Remove("DriverFault-nobody", Image, Machine.Waits).Should().BeNull();

    [Fact]
    public void A_service_that_is_not_installed_is_not_there()
    {
        ServiceControl.Open("DriverFault-nobody").Should().BeNull();
        DriverService.Exists("DriverFault-nobody").Should().BeFalse();
    }

    [Fact]
    public void A_loaded_driver_of_an_earlier_run_is_stopped_and_removed()
    {
        using (var service = DriverService.Install(Name, Driver(MyFault.Image()), Machine.Waits)) service.Start();
        Removed().Should().BeNull();
        DriverService.Exists(Name).Should().BeFalse();
        ObjectDirectory.Names(@"\Device").Should().NotContain("MyFault");
    }

    [Fact]
    public void A_service_of_somebody_else_s_that_has_the_name_is_left_alone()
    {
        using var service = DriverService.Install(Name, Driver(MyFault.Image()), Machine.Waits);
        DriverService.Remove(Name, Path.Combine(_folder, "elsewhere", "driver.sys"), Machine.Waits).Should().Contain("none of this program's").And.Contain(Image);
        DriverService.Exists(Name).Should().BeTrue();
        service.Delete().Should().BeNull();
    }
}
