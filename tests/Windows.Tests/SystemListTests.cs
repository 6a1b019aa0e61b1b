using System.Runtime.Versioning;
using System.Text;
using FluentAssertions;
using Harness.Core.Nt;
using Harness.Windows.Native;
using Xunit;

namespace Windows.Tests;

/// <summary>What NtQuerySystemInformation tells, in bytes of an x64 Windows.</summary>
[SupportedOSPlatform("windows")]
public sealed class SystemListTests
{
    private const ulong At = 0x1_0000;

    [Fact]
    public void Processes_and_their_threads_are_read_where_x64_has_them()
    {
        var bytes = new byte[0x400];
        Process(bytes, 0, next: 0x1A0, pid: 412, handles: 7, name: "victim.exe", nameAt: 0x3C0);
        Thread(bytes, 0x100, 416, state: 5, reason: 0);
        Thread(bytes, 0x150, 420, state: 2, reason: 6);
        BitConverter.GetBytes(2).CopyTo(bytes, 4);
        Process(bytes, 0x1A0, next: 0, pid: 4, handles: 0, name: "", nameAt: 0);

        var processes = SystemInformation.ParseProcesses((bytes, At));

        processes.Should().HaveCount(2);
        processes[0].Should().BeEquivalentTo(new ListedProcess(412, "victim.exe", 7, 0x1234,
            [new ListedThread(416, ThreadState.Waiting, WaitReason.Executive), new ListedThread(420, ThreadState.Running, WaitReason.UserRequest)]));
        processes[1].Pid.Should().Be(4);
    }

    [Fact]
    public void A_name_outside_of_what_was_told_is_no_name()
    {
        var bytes = new byte[0x100];
        Process(bytes, 0, 0, 412, 0, "x", nameAt: 0x40_0000);
        SystemInformation.ParseProcesses((bytes, At)).Should().ContainSingle().Which.Image.Should().BeEmpty();
    }

    [Fact]
    public void Handles_are_read_where_x64_has_them()
    {
        var bytes = new byte[0x10 + 0x28];
        BitConverter.GetBytes(1L).CopyTo(bytes, 0);
        BitConverter.GetBytes(412L).CopyTo(bytes, 0x10 + 8);
        BitConverter.GetBytes(0x84L).CopyTo(bytes, 0x10 + 0x10);
        BitConverter.GetBytes((ushort)7).CopyTo(bytes, 0x10 + 0x1E);
        SystemInformation.ParseHandles((bytes, At)).Should().Equal(new ListedHandle(412, 0x84, 7));
    }

    [Fact]
    public void A_count_that_promises_more_than_there_is_is_not_believed()
    {
        var bytes = new byte[0x10 + 0x28];
        BitConverter.GetBytes(1000L).CopyTo(bytes, 0);
        SystemInformation.ParseHandles((bytes, At)).Should().HaveCount(1);
    }

    [Fact]
    public void Modules_are_read_where_x64_has_them()
    {
        var bytes = new byte[8 + 0x128];
        BitConverter.GetBytes(1).CopyTo(bytes, 0);
        BitConverter.GetBytes(0xFFFFF80320000000).CopyTo(bytes, 8 + 0x10);
        BitConverter.GetBytes(0x7000u).CopyTo(bytes, 8 + 0x18);
        BitConverter.GetBytes((ushort)4).CopyTo(bytes, 8 + 0x26);
        Encoding.ASCII.GetBytes(@"\a\\driver.sys").CopyTo(bytes, 8 + 0x28);
        SystemInformation.ParseModules((bytes, At)).Should().Equal(new ListedModule("driver.sys", new KernelAddress(0xFFFFF80320000000), 0x7000));
    }

    private static void Process(byte[] bytes, int at, int next, long pid, int handles, string name, int nameAt)
    {
        BitConverter.GetBytes(next).CopyTo(bytes, at);
        BitConverter.GetBytes(0x1234L).CopyTo(bytes, at + 0x20);
        BitConverter.GetBytes((ushort)(name.Length * 2)).CopyTo(bytes, at + 0x38);
        BitConverter.GetBytes(At + (ulong)nameAt).CopyTo(bytes, at + 0x40);
        if (nameAt > 0 && nameAt < bytes.Length) Encoding.Unicode.GetBytes(name).CopyTo(bytes, nameAt);
        BitConverter.GetBytes(pid).CopyTo(bytes, at + 0x50);
        BitConverter.GetBytes(handles).CopyTo(bytes, at + 0x60);
    }

    private static void Thread(byte[] bytes, int at, long tid, int state, int reason)
    {
        BitConverter.GetBytes(tid).CopyTo(bytes, at + 0x30);
        BitConverter.GetBytes(state).CopyTo(bytes, at + 0x44);
        BitConverter.GetBytes(reason).CopyTo(bytes, at + 0x48);
    }
}
