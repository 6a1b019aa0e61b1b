using System.Runtime.CompilerServices;
using FluentAssertions;
using Harness.Windows.Native;
using Xunit;

namespace Windows.Tests.OnWindows;

/// <summary>Sizes and places of the structures that are shared with the system, against the headers and against the system itself.</summary>
public sealed class StructureTests
{
    public static TheoryData<string, int, int> Sizes => new()
    {
        { "OVERLAPPED", Unsafe.SizeOf<NativeRequest.OverlappedBlock>(), 0x20 },
        { "UNICODE_STRING", Unsafe.SizeOf<DeviceHandle.UnicodeString>(), 0x10 },
        { "OBJECT_ATTRIBUTES", Unsafe.SizeOf<DeviceHandle.ObjectAttributes>(), 0x30 },
        { "IO_STATUS_BLOCK", Unsafe.SizeOf<DeviceHandle.IoStatusBlock>(), 0x10 },
        { "SERVICE_STATUS", Unsafe.SizeOf<ServiceControl.ServiceStatus>(), 0x1C },
        { "PROCESS_EXTENDED_BASIC_INFORMATION", Unsafe.SizeOf<ProcessHandle.ExtendedBasicInformation>(), 0x40 },
        { "TOKEN_PRIVILEGES", Unsafe.SizeOf<Privilege.TokenPrivileges>(), 0x10 },
        { "SYSDBG_LIVEDUMP_CONTROL", Unsafe.SizeOf<LiveKernelDump.LiveDumpControl>(), 0x40 },
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void A_structure_is_as_large_as_its_header_says(string name, int size, int known) => size.Should().Be(known, name);

    [Fact]
    public void The_process_list_tells_of_this_process_what_it_knows_of_itself()
    {
        using var self = System.Diagnostics.Process.GetCurrentProcess();
        var listed = SystemInformation.Processes().Should().ContainSingle(process => process.Pid == Environment.ProcessId).Which;
        listed.Image.Should().BeEquivalentTo(Path.GetFileName(Environment.ProcessPath));
        listed.Handles.Should().BePositive();
        listed.Created.Should().BeCloseTo(self.StartTime.ToFileTimeUtc(), (ulong)TimeSpan.TicksPerSecond);
        listed.Threads.Should().Contain(thread => thread.Tid == ThreadHandle.CurrentId);
    }

    [Fact]
    public void The_handle_list_has_this_process_s_own_handles()
    {
        using var self = ProcessHandle.Open(Environment.ProcessId);
        using var other = ProcessHandle.Open(Environment.ProcessId);
        var own = SystemInformation.Handles().Where(handle => handle.Owner == Environment.ProcessId).ToList();
        var one = own.Should().ContainSingle(handle => handle.Value == self.DangerousGetHandle()).Which;
        var two = own.Should().ContainSingle(handle => handle.Value == other.DangerousGetHandle()).Which;
        two.ObjectType.Should().Be(one.ObjectType, "both are processes");
    }

    [Fact]
    public void Code_integrity_is_told() => SystemInformation.TestSigning.Should().NotBeNull();

    [Fact]
    public void A_status_becomes_the_error_code_that_documentation_says() => LastStatus.ToCode(Harness.Core.Nt.NtStatus.ObjectNameNotFound).Should().Be(2);

    [Fact]
    public void A_live_dump_is_written_or_refused_and_leaves_no_file_when_refused()
    {
        var path = Path.Combine(Path.GetTempPath(), "driverfault-live.dmp");
        Privilege.Enable(Privilege.Debug);
        var status = LiveKernelDump.Write(path);
        File.Exists(path).Should().Be(status.Value == 0);
        if (status.Value == 0) File.Delete(path);
        else status.IsError.Should().BeTrue();
    }

    [Fact]
    public void An_administrator_has_the_debug_privilege_and_nobody_one_that_does_not_exist()
    {
        Privilege.Enable(Privilege.Debug).Should().BeTrue();
        Privilege.Enable("SeNobodyHasThisPrivilege").Should().BeFalse();
    }

    [Fact]
    public void Errors_have_the_system_s_text_and_the_likely_cause() =>
        new WindowsException("StartService(x)", 577).Message.Should().StartWith("StartService(x): error 577 (").And.Contain("sign").And.Contain("testsigning");
}
