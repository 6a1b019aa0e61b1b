using System.Globalization;
using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Xunit;

namespace Emulation.Tests.Kernel;

/// <summary>A sound driver with a few bytes of its code and data changed: whatever it then does, the machine leaves evidence and never an exception.</summary>
public sealed class DamagedDriverTests
{
    // A long run: this many drivers.
    private const string MoreCases = "DRIVERFAULT_DAMAGED_DRIVERS";

    private static readonly Story Kill = new(
        [
            new ClientProcess("victim", [new ClientThread("main", [new OpenDevice("h"), new DeviceControl("h", "request", 0x222000, [1, 2, 3, 4], 16)])]),
            new ClientProcess(Story.Controller, [new ClientThread("main",
                [new UntilWaiting("victim", "request", TimeSpan.FromSeconds(1)), new Observe("waiting"), new Terminate("victim", 1), new Sleep(TimeSpan.FromSeconds(5)), new Observe("settled")])]),
        ],
        "victim", "request", []);

    [Fact]
    public void A_damaged_driver_leaves_evidence_and_never_an_exception()
    {
        var count = int.Parse(Environment.GetEnvironmentVariable(MoreCases) ?? "200", CultureInfo.InvariantCulture);
        var whole = File.ReadAllBytes(Path.Combine(Root(), "tests", "drivers", "bin", "clang-O2", "csq.sys"));
        var escaped = new Dictionary<string, int>();
        for (var number = 0; number < count; number++)
        {
            var evidence = new EvidenceLog();
            try
            {
                new EmulatedTarget().Play(Kill, new DriverUnderTest("csq.sys", Damaged(whole, number), @"\Device\Csq"), new Conditions(1, 1), evidence);
                evidence.Observations.Should().NotBeEmpty();
            }
            catch (UnusableDriverException)
            {
                // Its tables were hit.
            }
            catch (Exception e)
            {
                escaped.TryAdd($"{e.GetType().Name}: {e.StackTrace!.Split('\n').First(line => line.Contains("Harness.Emulation.Kernel", StringComparison.Ordinal)).Trim()}", number);
            }
        }

        escaped.Select(escape => $"driver {escape.Value}: {escape.Key}").Should().BeEmpty();
    }

    // One to three bytes, chosen by the number (xorshift); from 0x400 on is what the linker laid out.
    private static byte[] Damaged(byte[] whole, int number)
    {
        var file = whole.ToArray();
        var state = ((ulong)number * 0x9E3779B97F4A7C15) + 1;
        for (var i = 0; i < 20; i++) Next();
        for (var wounds = 1 + (int)(Next() % 3); wounds > 0; wounds--)
        {
            var at = 0x400 + (int)(Next() % 0x700);
            if (at < file.Length) file[at] = (byte)Next();
        }

        return file;

        ulong Next()
        {
            state ^= state << 13;
            state ^= state >> 7;
            return state ^= state << 17;
        }
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "DriverFaultHarness.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException($"{AppContext.BaseDirectory} is not inside the repository");
    }
}
