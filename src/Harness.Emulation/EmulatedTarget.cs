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
public sealed class EmulatedTarget : IRecordingTarget
{
    public string Name => "emulated";

    public string? Lacks => null;

    public bool LeavesDumps => true;

    public bool LeavesTraces => true;

    public TimeSpan DefaultSettle => TimeSpan.FromMinutes(10);

    public void Check(string fileName, byte[] image) => DriverImage.Parse(image, fileName);

    public void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence) => Prepare(story, driver, conditions, evidence).Run();

    public void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence, Recording recording)
    {
        var machine = Prepare(story, driver, conditions, evidence, recording.Trace);
        machine.Stopping = () =>
        {
            if (recording.Trace) recording.Keep(Recording.TraceFileName, machine.StopTrace());
            if (recording.Dump is { } kind) machine.Dump(kind, pieces => recording.Keep(Recording.DumpFileName, pieces));
            recording.Keep(NtImage.FileName, NtImage.Instance.File);
        };
        machine.Run();
    }

    /// <summary>A machine with the driver mapped; its first step is the first of DriverEntry.</summary>
    internal static Machine Prepare(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence, bool trace = false)
    {
        var machine = new Machine(conditions.Seed, conditions.Processors, evidence);
        if (trace) machine.StartTrace();
        machine.Ready = () => machine.Clients.Start(story, driver.Device);
        machine.LoadDriver(driver.Image, driver.FileName);
        return machine;
    }
}
