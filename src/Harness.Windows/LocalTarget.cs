using System.Reflection.PortableExecutable;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Threading;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;

namespace Harness.Windows;

/// <summary>
/// The target "local": the real kernel of this Windows machine. The driver is installed and started as a service, the story's processes are processes, and whatever came of it, the machine
/// is left as it was found, as far as the driver lets it.
/// </summary>
/// <param name="clock">Wall-clock time.</param>
/// <param name="client">This program in its hidden mode (<see cref="ClientProgram"/>): the executable and its arguments.</param>
/// <param name="symbolPath">Where symbols of the machine's images are, as _NT_SYMBOL_PATH says it; null: nowhere.</param>
/// <param name="tell">Told what is done to the machine, a line each.</param>
/// <param name="options">What the user says of the machine.</param>
public sealed class LocalTarget(TimeProvider clock, IReadOnlyList<string> client, string? symbolPath, Action<string> tell, MachineOptions? options = null) : IMachineTarget
{
    private readonly MachineOptions _options = options ?? MachineOptions.Usual;

    public string Name => "local";

    public string? Lacks => !OperatingSystem.IsWindows() ? "it is the kernel of a Windows machine, and this is none: use it there (docs/first-run-on-windows.md), or the target 'emulated' here"
        : RuntimeInformation.OSArchitecture != Architecture.X64 || RuntimeInformation.ProcessArchitecture != Architecture.X64 ? "it needs an x64 Windows, and this program as x64"
        // TraceEvent's limit.
        : !OperatingSystem.IsWindowsVersionAtLeast(10) ? "it needs Windows 10, Windows Server 2016, or later"
        : TestMachine.Probe().Refusal(_options.Vouched);

    /// <summary>Real time passes.</summary>
    public TimeSpan DefaultSettle => TimeSpan.FromSeconds(15);

    /// <summary>Whether the user vouches for the machine.</summary>
    public bool Vouched => _options.Vouched;

    /// <summary>Where the driver's file and the journal are while a run lasts: only administrators can write there.</summary>
    [SupportedOSPlatform("windows")]
    public static string Folder => Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.Windows), "DriverFaultHarness");

    /// <summary>For tests: told the name of each step before it is taken.</summary>
    internal Action<string>? Stepping { get; init; }

    public ITarget With(MachineOptions options) => new LocalTarget(clock, client, symbolPath, tell, options) { Stepping = Stepping };

    public void Check(string fileName, byte[] image)
    {
        try
        {
            using var file = new PEReader(new MemoryStream(image));
            var headers = file.PEHeaders;
            if (headers.PEHeader is not { } header) throw new BadImageFormatException();
            if (headers.CoffHeader.Machine != Machine.Amd64) throw new UnusableDriverException($"{fileName} is for {headers.CoffHeader.Machine}, and this machine needs a driver for x64");
            if (header.Subsystem != Subsystem.Native) throw new UnusableDriverException($"{fileName} is no driver: its subsystem is {header.Subsystem} and not native");
        }
        catch (BadImageFormatException)
        {
            throw new UnusableDriverException($"{fileName} is no driver: it is not an executable of Windows");
        }
    }

    public void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence)
    {
        var folder = Directory.CreateTempSubdirectory("driverfault-").FullName;
        try
        {
            Play(story, driver, conditions, evidence, folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public void Play(Story story, DriverUnderTest driver, Conditions conditions, EvidenceLog evidence, string folder)
    {
        if (!OperatingSystem.IsWindows() || Lacks is not null) throw new UnusableDriverException($"target '{Name}': {Lacks}");
        Check(driver.FileName, driver.Image);
        using var stop = new CancellationTokenSource(_options.Timeout, clock);
        // What cleans up must not be stopped by what stopped the story.
        var patient = new Waits(clock, CancellationToken.None);
        using var journal = Journal.Take(Folder, Stepping) ?? throw new UnusableDriverException("target 'local': another run has this machine; wait until it is over (one whose process does not end keeps it until the machine is restarted)");
        if (journal.Found is { } found)
        {
            tell($"cleaning up after a run that did not end: service {found.Service}");
            var remains = Cleaner.Clean(found, patient);
            if (remains.Count > 0) throw new UnusableDriverException($"target 'local': an earlier run left what cannot be removed: {string.Join("; ", remains)}");
            journal.Clear();
        }

        tell($"this machine ({TestMachine.Probe()}): {driver.FileName} is installed as the service {DriverService.NameFor(driver.FileName)} and loaded, processes of this program use it and are killed, and all of it is removed again");
        var waits = new Waits(clock, stop.Token);
        var timeline = new Timeline(waits);
        try
        {
            using var run = new LocalRun(story, driver, new Collecting(folder, symbolPath), client, journal, timeline, waits, patient);
            run.Play(_options.Timeout);
        }
        finally
        {
            timeline.CopyTo(evidence);
        }
    }
}
