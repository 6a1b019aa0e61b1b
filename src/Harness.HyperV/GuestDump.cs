using Harness.Core.Diagnosis;
using Harness.Core.Dumps;
using Harness.Core.Nt;

namespace Harness.HyperV;

/// <summary>What the host makes of a kernel dump of the guest.</summary>
/// <param name="BugCheck">The code; null when the file doesn't tell of one.</param>
/// <param name="Parameters">Its four parameters.</param>
/// <param name="By">The place in a driver that the first parameter leads to that leads to one, "driver.sys+0x1234"; "nt" when none does.</param>
/// <param name="Processes">Those that were terminated and are still there.</param>
/// <param name="Says">A sentence about each of them that is a zombie, for certain or likely.</param>
internal sealed record GuestDump(uint? BugCheck, IReadOnlyList<KernelAddress> Parameters, string By, IReadOnlyList<ProcessRecord> Processes, IReadOnlyList<string> Says)
{
    /// <summary>Reads the file.</summary>
    /// <exception cref="UnusableDumpException">It is no dump that can be read.</exception>
    /// <exception cref="IOException">It cannot be read; also <see cref="UnauthorizedAccessException"/>.</exception>
    internal static GuestDump Read(string path)
    {
        using var dump = KernelDump.Open(path);
        var modules = new KernelView(dump).Modules;
        KernelAddress[] parameters = [.. dump.BugCheckParameters.Select(value => new KernelAddress(value))];
        // Many bug checks give the instruction that was at fault, each as another parameter.
        var by = parameters.Where(address => modules.Containing(address) is { IsKernel: false } module && ModuleOffset.IsDriver(module.FileName)).Select(modules.FileOffset).FirstOrDefault();
        var seen = Examination.Of(dump);
        return new GuestDump(dump.BugCheck, parameters, by ?? ModuleOffset.Kernel, [.. seen.Remains.Select(remains => remains.Process)], [.. seen.Zombies.Select(remains => remains.Says)]);
    }
}
