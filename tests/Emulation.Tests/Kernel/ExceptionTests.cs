using System.Buffers.Binary;
using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Xunit;

namespace Emulation.Tests.Kernel;

/// <summary>Exceptions in driver code that clang compiled: tests/drivers/seh-nested.c, one request for each way to raise and to handle one.</summary>
public sealed class ExceptionTests
{
    private const uint AccessViolation = 0xC0000005, Misalignment = 0x80000002, Breakpoint = 0x80000003, ZeroDivisor = 0xC0000094, Overflow = 0xC0000095,
        NotContinuable = 0xC0000025, RaisedByDriver = 0xE0001234;

    // The numbers of enum SEH_CASE.
    [Theory]
    [InlineData(0, 0, 0x614235)] // both filters, inner first; both __finally, inner first; the __except
    [InlineData(1, AccessViolation, 0x10)] // the address that was written
    [InlineData(2, 0, 0x12345678)] // the filter changes RCX in the CONTEXT, and the instruction is executed again
    [InlineData(3, 0, 0x123)] // RtlRaiseException comes back
    [InlineData(4, AccessViolation, 0)] // ProbeForRead of a range that ends in system addresses
    [InlineData(5, Misalignment, 0)]
    [InlineData(6, AccessViolation, 0)] // ProbeForWrite of a page that isn't there
    [InlineData(7, RaisedByDriver, 0)]
    [InlineData(8, ZeroDivisor, 0)]
    [InlineData(9, Overflow, 0)]
    [InlineData(10, 0, 0)] // no nonvolatile register is lost, XMM ones included
    [InlineData(11, AccessViolation, 0)] // through a frame that grows at run time
    [InlineData(12, 0, 0x1243)] // a filter handles a fault of its own
    [InlineData(13, RaisedByDriver, 0x142435)] // a __finally raises while the stack is unwound
    [InlineData(14, AccessViolation, 8)] // a call through a null pointer: an execution
    [InlineData(15, AccessViolation, 0)] // nt reads a string that isn't there
    [InlineData(16, NotContinuable, 0)]
    [InlineData(17, AccessViolation, ulong.MaxValue)] // an address that isn't canonical
    [InlineData(18, 0, 0x120)] // __finally without an exception
    [InlineData(19, Breakpoint, 0)]
    [InlineData(20, 0, 0x123)] // a filter waits: another thread runs in the middle of the search
    public void An_exception_finds_its_handler(int way, uint status, ulong observed)
    {
        var evidence = Play(way);

        evidence.OfType<BugChecked>().Should().BeEmpty();
        var completed = evidence.OfType<IrpCompleted>().Single(e => e.Request == "request");
        (completed.Status.Value, completed.Information).Should().Be((status, observed));
    }

    [Theory]
    [InlineData(21, 0x3B, AccessViolation)]
    [InlineData(23, 0x3B, RaisedByDriver)]
    [InlineData(24, 0x3B, ZeroDivisor)]
    [InlineData(26, 0x7E, AccessViolation)] // in a thread of the driver's own
    public void An_exception_that_nobody_handles_stops_the_machine_and_names_the_driver(int way, uint code, uint status)
    {
        var stop = Play(way).OfType<BugChecked>().Should().ContainSingle().Subject;

        stop.Code.Should().Be(code);
        stop.Parameters[0].Value.Should().Be(status);
        stop.By.Should().StartWith("seh-nested.sys+0x");
        stop.Stack[0].Should().Be(stop.By.Replace(".sys", "", StringComparison.Ordinal));
        stop.Stack[^1].Should().StartWith(code == 0x7E ? "nt!KiStartSystemThread" : "nt!KiSystemServiceCopyEnd");
        stop.Stack.Should().NotContain(frame => frame.Contains("Exception", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(22, 0x50, 0xFFFFA000_00001000)] // a kernel address
    [InlineData(25, 0xD1, 0x10)] // a user address at DISPATCH_LEVEL
    public void No_handler_is_asked_about_a_page_fault_that_only_the_kernel_could_resolve(int way, uint code, ulong address)
    {
        var stop = Play(way).OfType<BugChecked>().Should().ContainSingle().Subject;

        stop.Code.Should().Be(code);
        stop.Parameters[0].Value.Should().Be(address);
        stop.By.Should().StartWith("seh-nested.sys+0x");
    }

    private static IReadOnlyList<Observation> Play(int way)
    {
        var input = new byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(input, way);
        var story = new Story([new ClientProcess(Story.Controller, [new ClientThread("main", [new OpenDevice("h"), new DeviceControl("h", "request", 0x222000, input, 0)])])],
            Story.Controller, "request", []);
        var file = Path.Combine(Root(), "tests", "drivers", "bin", "clang-O2", "seh-nested.sys");
        var evidence = new EvidenceLog();
        new EmulatedTarget().Play(story, new DriverUnderTest("seh-nested.sys", File.ReadAllBytes(file), @"\Device\SehNested"), new Conditions(0, 1), evidence);
        return evidence.Observations;
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "DriverFaultHarness.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException($"{AppContext.BaseDirectory} is not inside the repository");
    }
}
