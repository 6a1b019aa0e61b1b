using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Xunit;

namespace Emulation.Tests.Kernel;

/// <summary>
/// What nt exports, as compiled drivers call it: tests/drivers/exports. A driver says "ok" or "BAD" with each expression it looked at, and
/// "done" with their number.
/// </summary>
public sealed class ExportsTests
{
    public static TheoryData<string, string> Drivers()
    {
        var rows = new TheoryData<string, string>();
        foreach (var variant in (string[])["gcc-O0", "gcc-O2", "clang-O2"])
            foreach (var name in (string[])["strings", "executive", "services", "direct"]) rows.Add(variant, name);
        return rows;
    }

    [Theory]
    [MemberData(nameof(Drivers))]
    public void Every_export_does_what_a_driver_expects_of_it(string variant, string name)
    {
        var evidence = Play(variant, name);

        var said = evidence.OfType<DebugPrinted>().Select(line => line.Text.TrimEnd()).ToList();
        evidence.Select(Trouble).OfType<string>().Should().BeEmpty("after '{0}'", said.LastOrDefault());
        said.Where(line => line.StartsWith("BAD ", StringComparison.Ordinal)).Should().BeEmpty();
        said.Should().NotBeEmpty();
        said[^1].Should().Be($"done {said.Count - 1}");
        said.SkipLast(1).Should().OnlyContain(line => line.StartsWith("ok ", StringComparison.Ordinal)).And.HaveCountGreaterThan(10);
        evidence.OfType<DriverEntryReturned>().Single().Status.IsSuccess.Should().BeTrue();
    }

    private static string? Trouble(Observation observation) => observation switch
    {
        ExportsMissing o => "missing: " + string.Join(' ', o.Names),
        Unmodelled o => $"unmodelled: {o.What}, {o.Detail}",
        BugChecked o => $"bug check 0x{o.Code:x} {string.Join(' ', o.Parameters)} by {o.By} {string.Join(" < ", o.Stack)}",
        DriverFault o => $"{o.Id} by {o.By}: {o.Detail}",
        RunStopped o => o.Why,
        _ => null,
    };

    private static IReadOnlyList<Observation> Play(string variant, string name)
    {
        // Only the driver with a device gets as far as a request: METHOD_OUT_DIRECT, over more than one page.
        var acts = name == "direct" ? (IReadOnlyList<Act>)[new OpenDevice("h"), new DeviceControl("h", "request", 0x222002, [], 6000), new Close("h")] : [new Sleep(TimeSpan.Zero)];
        var story = new Story([new ClientProcess(Story.Controller, [new ClientThread("main", acts)])], Story.Controller, "request", []);
        var file = Path.Combine(Root(), "tests", "drivers", "bin", variant, "exports", name + ".sys");
        var evidence = new EvidenceLog();
        new EmulatedTarget().Play(story, new DriverUnderTest(name + ".sys", File.ReadAllBytes(file), @"\Device\Direct"), new Conditions(0, 1), evidence);
        return evidence.Observations;
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "DriverFaultHarness.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException($"{AppContext.BaseDirectory} is not inside the repository");
    }
}
