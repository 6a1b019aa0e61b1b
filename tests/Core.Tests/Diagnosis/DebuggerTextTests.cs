using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Diagnosis;

public class DebuggerTextTests
{
    [Fact]
    public void A_zombie_reads_as_in_a_kernel_debugger()
    {
        KernelAddress thread = new(0xFFFFA00A00002000), irp = new(0xFFFFA00A00003000), device = new(0xFFFFA00A00004000), file = new(0xFFFFA00A00005000);
        var record = new ProcessRecord(new(0xFFFFA00A00001000), 0x19C, "victim.exe", Listed: true, Deleting: true, Signalled: false, NtStatus.Pending,
        [
            new ThreadRecord(thread, 0x1A0, ThreadState.Waiting, WaitReason.Executive, ProcessorMode.KernelMode, Alertable: false,
                new WaitObject(file + 0x98, "NotificationEvent", $@"File {file} \Device\Sample (Event)"),
                [
                    new StackFrame(new(0xFFFFF80310001076), new(0xFFFFB00B00005A00), "nt!KiSwapContext+0x76", "nt"),
                    new StackFrame(new(0xFFFFF8031000206D), new(0xFFFFB00B00005B40), "nt!IopCancelAlertedRequest+0x6d", "nt"),
                ],
                [
                    new IrpRecord(irp, "thread", Cancel: true, CancelRoutine: null, 2, 1, thread,
                    [
                        new IrpLocation(2, Current: false, IrpMajor.DeviceControl, 0, 0x222008, Pending: true, device, @"\Device\Upper", "upper.sys", file, "upper.sys+0x1234")
                        {
                            Control = 0xE1, Arguments = [new(0x10), new(0), new(0x222008), new(0)], Context = new(0xFFFFA00A00007000),
                        },
                        new IrpLocation(1, Current: true, IrpMajor.InternalDeviceControl, 0, 0x222008, Pending: false, device, @"\Device\Sample", "sample.sys", file, null),
                    ],
                    "sample.sys", @"\Device\Sample") { Size = 0x160, Flags = 0x60070 },
                ]),
        ]);

        string.Join('\n', DebuggerText.Of(record)).Should().Be("""
            PROCESS ffffa00a00001000  Cid: 019c (pid 412)  Image: victim.exe
                on the active process list, delete requested, process object not signalled
                ExitStatus: 0x00000103 STATUS_PENDING  Threads: 1

            THREAD ffffa00a00002000  Cid 019c.01a0 (tid 416)  WAIT: (Executive) KernelMode Non-Alertable
                ffffa00a00005098  NotificationEvent  File 0xffffa00a00005000 \Device\Sample (Event)
            IRP List:
                ffffa00a00003000: (0006,0160) Flags: 00060070  Cancel: TRUE  CancelRoutine: none
            Child-SP          Call Site
            ffffb00b00005a00  nt!KiSwapContext+0x76
            ffffb00b00005b40  nt!IopCancelAlertedRequest+0x6d

            Irp ffffa00a00003000 is active with 2 stack locations, 1 is current
                Held by sample.sys for \Device\Sample
                Cancel: TRUE  CancelRoutine: none  Thread: ffffa00a00002000
                 cmd  flg cl Device           File             Completion-Context
               2 [IRP_MJ_DEVICE_CONTROL(e), N/A(0)]
                       00 e1 ffffa00a00004000 ffffa00a00005000 upper.sys+0x1234-ffffa00a00007000  pending
                       upper.sys  \Device\Upper  IoControlCode: 0x00222008
                       Args: 00000010 00000000 00222008 00000000
            >  1 [IRP_MJ_INTERNAL_DEVICE_CONTROL(f), N/A(0)]
                       00 00 ffffa00a00004000 ffffa00a00005000 none
                       sample.sys  \Device\Sample  IoControlCode: 0x00222008
            """);
    }

    [Fact]
    public void Of_threads_that_are_alike_the_first_is_told_whole()
    {
        ThreadRecord Waits(int tid, WaitReason reason = WaitReason.Executive) => new(new((ulong)tid * 0x1000), tid, ThreadState.Waiting, reason, ProcessorMode.KernelMode, false, null,
            [new StackFrame(new(0xFFFFF80310001076), new(0xFFFFB00B00005A00 + (ulong)tid), "nt!KiSwapContext+0x76", "nt")],
            [new IrpRecord(new((ulong)tid * 0x2000), "thread", true, null, 1, 1, new((ulong)tid * 0x1000), [], "sample.sys", @"\Device\Sample")]);
        var told = DebuggerText.Of(new ProcessRecord(new(0x1000), 4, "p.exe", true, true, false, NtStatus.Pending, [Waits(8), Waits(12), Waits(16, WaitReason.DelayExecution)]));

        told.Should().ContainSingle(line => line == "Stack and stack locations as of tid 8");
        told.Count(line => line.StartsWith("THREAD", StringComparison.Ordinal)).Should().Be(3);
        told.Count(line => line.StartsWith("Child-SP", StringComparison.Ordinal)).Should().Be(2, "another wait is another story");
        told.Should().Contain(line => line.StartsWith("    0000000000018000: (0006,", StringComparison.Ordinal), "each has its own IRP");
    }

    [Fact]
    public void What_is_missing_is_said()
    {
        var record = new ProcessRecord(new(0x1000), 4, "p.exe", Listed: false, Deleting: false, Signalled: true, NtStatus.Success,
            [new ThreadRecord(new(0x2000), 8, ThreadState.Running, WaitReason.Executive, ProcessorMode.KernelMode, false, null, [], [])])
        {
            Exiting = true,
            Notes = ["the stack was not in memory"],
        };
        string.Join('\n', DebuggerText.Of(record)).Should().Be("""
            PROCESS 0000000000001000  Cid: 0004 (pid 4)  Image: p.exe
                not on the active process list, exiting, process object signalled
                ExitStatus: 0x00000000 STATUS_SUCCESS  Threads: 1
                (!) the stack was not in memory

            THREAD 0000000000002000  Cid 0004.0008 (tid 8)  RUNNING
            IRP List: empty
            Stack: not available
            """);
    }

    [Fact]
    public void An_alertable_wait_in_user_mode_and_an_irp_without_driver_are_told()
    {
        var thread = new ThreadRecord(new(0x2000), 8, ThreadState.Waiting, WaitReason.UserRequest, ProcessorMode.UserMode, Alertable: true, null, [],
            [new IrpRecord(new(0x3000), "file", false, "sample.sys+0x10", 1, 2, new(0x2000), [], null, null)]);
        DebuggerText.Thread(thread, 4).Should().Contain(line => line.EndsWith("WAIT: (UserRequest) UserMode Alertable"))
            .And.Contain(line => line.Contains("CancelRoutine: sample.sys+0x10  (on the file's list)"));
        DebuggerText.Irp(thread.Irps[0])[0].Should().EndWith("is completed: 1 stack location, none is current");
    }
}
