using System.Text;
using Harness.Cli;
using Harness.Scenarios;
using Scenarios.Tests.Vocabulary;
using Xunit;

namespace Scenarios.Tests;

/// <summary>A section named INIT that is marked discardable is gone after DriverEntry.</summary>
public sealed class DiscardedSectionTests
{
    private const byte CallsInitialization = 16, Sound = 0;

    [Fact]
    public void Initialization_code_that_is_called_later_is_not_there() =>
        Run(CallsInitialization, discardable: true).Should().Fail().WithFinding("bug-check-0x50", "pool.sys");

    [Fact]
    public void A_driver_that_calls_it_from_DriverEntry_only_is_sound() => Run(Sound, discardable: true).Should().Pass();

    [Fact]
    public void A_section_that_is_not_marked_stays() => Run(CallsInitialization, discardable: false).Should().Pass();

    private static PlayedRun Run(byte kind, bool discardable)
    {
        var driver = Rehearsal.TestDriver("gcc-O2", "pool", "Pool");
        var image = driver.Driver.Image.ToArray();
        // IMAGE_SECTION_HEADER: the name, and Characteristics at +0x24; IMAGE_SCN_MEM_DISCARDABLE 0x02000000 (PE format, learn.microsoft.com).
        var header = image.AsSpan().IndexOf(Encoding.ASCII.GetBytes("INIT\0\0\0\0"));
        if (discardable) image[header + 0x27] |= 0x02;
        return Rehearsal.Of(new HangIrp(), driver with { Driver = driver.Driver with { Image = image } }, 0x222000, input: [kind]);
    }
}
