using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation.Image;
using Harness.Emulation.Kernel;

namespace Harness.Emulation;

/// <summary>
/// The target "emulated": executes the driver's own machine code in an emulated NT kernel, on any operating system, with a virtual clock.
/// The same story, driver and seed give the same evidence, byte for byte.
/// </summary>
public sealed class EmulatedTarget : ITarget
{
    public string Name => "emulated";

    /// <summary>Virtual processors, 1 to 4.</summary>
    public int Processors { get; init; } = 1;

    public string? Lacks => null;

    public TimeSpan DefaultSettle => TimeSpan.FromMinutes(10);

    public void Check(string fileName, byte[] image) => DriverImage.Parse(image, fileName);

    public void Play(Story story, DriverUnderTest driver, ulong seed, EvidenceLog evidence) => Prepare(story, driver, seed, Processors, evidence).Run();

    /// <summary>A machine with the driver mapped; its first step is the first of DriverEntry.</summary>
    internal static Machine Prepare(Story story, DriverUnderTest driver, ulong seed, int processors, EvidenceLog evidence)
    {
        var machine = new Machine(seed, processors, evidence);
        machine.Ready = () => machine.Clients.Start(story, driver.Device);
        machine.LoadDriver(driver.Image, driver.FileName);
        return machine;
    }
}
