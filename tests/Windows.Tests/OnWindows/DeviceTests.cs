using FluentAssertions;
using Harness.Core.Nt;
using Harness.Scenarios;
using Harness.Windows.Native;
using Xunit;

namespace Windows.Tests.OnWindows;

/// <summary>Requests to the real driver through the wrappers.</summary>
public sealed class DeviceTests(LoadedMyFault driver) : IClassFixture<LoadedMyFault>
{
    [Fact]
    public void Echo_comes_back_with_its_own_bytes()
    {
        driver.Send(MyFault.Echo, [1, 2, 3, 4], 4, out var output).Should().Be(NtStatus.Success);
        output.Should().Equal(1, 2, 3, 4);
    }

    [Fact]
    public void An_echo_on_an_overlapped_handle_sets_its_event()
    {
        using var device = driver.Open(overlapped: true);
        using var request = new NativeRequest(overlapped: true, [7, 8], 2);
        device.Control(MyFault.Echo.Code, request).IsSuccess.Should().BeTrue();
        device.Await(request).Should().Be(NtStatus.Success);
        request.Result().Should().Equal(7, 8);
    }

    [Fact]
    public void A_pended_request_that_is_cancelled_comes_back_cancelled()
    {
        var before = driver.Counts();
        using var device = driver.Open(overlapped: true);
        using var request = new NativeRequest(overlapped: true, [], 0);
        device.Control(MyFault.Pend.Code, request).Should().Be(NtStatus.Pending);
        driver.Counts()[1].Should().Be(before[1] + 1, "one PEND waits");

        device.Cancel(request).Should().Be(NtStatus.Success);
        request.Wait(Machine.Patience).Should().BeTrue();

        request.Status.Should().Be(NtStatus.Cancelled);
        device.Await(request).Should().Be(NtStatus.Cancelled);
        driver.Counts()[4].Should().Be(before[4] + 1, "the driver's cancel routine ran");
    }

    [Fact]
    public void A_held_request_that_is_cancelled_stays_pending_until_it_is_released()
    {
        using var device = driver.Open(overlapped: true);
        using var request = new NativeRequest(overlapped: true, [], 0);
        device.Control(MyFault.HangIrp.Code, request).Should().Be(NtStatus.Pending);
        driver.Counts()[2].Should().Be(1, "it holds one IRP");

        device.Cancel(request).Should().Be(NtStatus.Success);
        request.Wait(TimeSpan.FromMilliseconds(200)).Should().BeFalse("nothing completes it");
        request.Status.Should().Be(NtStatus.Pending);

        driver.Release().Should().Be(1);
        request.Wait(Machine.Patience).Should().BeTrue();
        request.Status.Should().Be(NtStatus.Success);
    }

    [Fact]
    public void A_request_with_a_noop_cancel_routine_stays_pending_too()
    {
        using var device = driver.Open(overlapped: true);
        using var request = new NativeRequest(overlapped: true, [], 0);
        device.Control(MyFault.NoopCancel.Code, request).Should().Be(NtStatus.Pending);
        device.Cancel(request).Should().Be(NtStatus.Success);
        request.Wait(TimeSpan.FromMilliseconds(200)).Should().BeFalse();
        driver.Release().Should().Be(1);
        request.Wait(Machine.Patience).Should().BeTrue();
    }

    [Fact]
    public void Release_completes_everything_that_waits()
    {
        using var device = driver.Open(overlapped: true);
        using var pended = new NativeRequest(overlapped: true, [], 0);
        using var held = new NativeRequest(overlapped: true, [], 0);
        device.Control(MyFault.Pend.Code, pended).Should().Be(NtStatus.Pending);
        device.Control(MyFault.HangIrp.Code, held).Should().Be(NtStatus.Pending);

        driver.Release().Should().Be(2);
        pended.Wait(Machine.Patience).Should().BeTrue();
        held.Wait(Machine.Patience).Should().BeTrue();
        (pended.Status, held.Status).Should().Be((NtStatus.Success, NtStatus.Success));
    }

    [Fact]
    public void Cancelling_a_request_that_is_over_finds_nothing()
    {
        using var device = driver.Open(overlapped: true);
        using var request = new NativeRequest(overlapped: true, [1], 1);
        device.Control(MyFault.Echo.Code, request).IsSuccess.Should().BeTrue();
        device.Await(request).Should().Be(NtStatus.Success);
        device.Cancel(request).Should().Be(NtStatus.NotFound);
    }

    [Fact]
    public void An_unknown_control_code_is_an_invalid_device_request()
    {
        using var device = driver.Open(overlapped: false);
        using var request = new NativeRequest(overlapped: false, [], 0);
        device.Control(0x222FFC, request).Should().Be(NtStatus.InvalidDeviceRequest);
    }

    [Fact]
    public void An_output_buffer_that_is_too_small_is_refused()
    {
        driver.Send(MyFault.Query, [], 4, out _).Should().Be(NtStatus.BufferTooSmall);
    }

    [Fact]
    public void A_device_that_is_not_there_is_not_found()
    {
        DeviceHandle.Open(@"\Device\NobodyMadeThis", overlapped: false, out var device).Should().Be(NtStatus.ObjectNameNotFound);
        device.IsInvalid.Should().BeTrue();
    }

    [Fact]
    public void The_device_is_found_by_its_symbolic_link_too()
    {
        DeviceHandle.Open(@"\??\MyFault", overlapped: false, out var device).Should().Be(NtStatus.Success);
        device.Dispose();
    }

    [Fact]
    public void A_handle_that_was_closed_at_once_is_invalid()
    {
        var device = driver.Open(overlapped: false);
        device.CloseNow().Should().Be(NtStatus.Success);
        device.IsClosed.Should().BeTrue();
    }

    [Fact]
    public void A_completion_port_tells_of_the_request_that_was_released()
    {
        using var device = driver.Open(overlapped: true);
        CompletionPort.Of(device, out var port).Should().Be(NtStatus.Success);
        using (port)
        {
            using var request = new NativeRequest(overlapped: true, [], 0);
            device.Control(MyFault.HangIrp.Code, request).Should().Be(NtStatus.Pending);
            driver.Release().Should().Be(1);
            port.Dequeue(request).Should().Be(NtStatus.Success);
        }
    }

    [Fact]
    public async Task A_synchronous_request_of_another_thread_is_cancelled()
    {
        using var device = driver.Open(overlapped: false);
        using var request = new NativeRequest(overlapped: false, [], 0);
        var tid = 0;
        var sender = Task.Run(() =>
        {
            tid = ThreadHandle.CurrentId;
            return device.Control(MyFault.Pend.Code, request);
        });
        Machine.Waits.Until(Machine.Patience, () => driver.Counts()[1] == 1).Should().BeTrue();

        using (var thread = ThreadHandle.ToCancel(tid)!) thread.CancelSynchronous().Should().Be(NtStatus.Success);
        (await sender.WaitAsync(Machine.Patience, TestContext.Current.CancellationToken)).Should().Be(NtStatus.Cancelled);
    }

    [Fact]
    public void A_read_that_pends_is_cancelled_by_the_thread_that_sent_it()
    {
        using var device = driver.Open(overlapped: true);
        using var request = new NativeRequest(overlapped: true, [], 8, MyFault.Pend.Code);
        device.Read(request).Should().Be(NtStatus.Pending);
        device.CancelOfThisThread().Should().Be(NtStatus.Success);
        request.Wait(Machine.Patience).Should().BeTrue();
        request.Status.Should().Be(NtStatus.Cancelled);
    }

    [Fact]
    public void A_write_that_is_held_is_released()
    {
        using var device = driver.Open(overlapped: true);
        using var request = new NativeRequest(overlapped: true, [1, 2, 3], 0, MyFault.HangIrp.Code);
        device.Write(request).Should().Be(NtStatus.Pending);
        driver.Release().Should().Be(1);
        request.Wait(Machine.Patience).Should().BeTrue();
        request.Status.Should().Be(NtStatus.Success);
    }
}
