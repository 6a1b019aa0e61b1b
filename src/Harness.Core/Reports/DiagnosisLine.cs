using System.Text.Json;
using System.Text.Json.Serialization;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Reports;

/// <summary>
/// The object that <c>diagnose --format json</c> prints. Addresses, codes and status values are "0x…" strings, as in a <see cref="RunLine"/>.
/// </summary>
/// <param name="File">As the user gave it.</param>
/// <param name="Kind">"kernel memory dump (bitmap)".</param>
/// <param name="Build">NT build number.</param>
/// <param name="BugCheck">Bug check code, "0x161" for a live dump; null when the file tells of none.</param>
/// <param name="Processes">Processes on the active process list.</param>
/// <param name="Modules">Loaded modules.</param>
/// <param name="Symbols">The PDBs that were used: "ntkrnlmp.pdb 89284D0CA6ACC8274B9A44BD5AF9290B1".</param>
/// <param name="Verdict">"zombie", "none", or "unclear": it cannot be told.</param>
/// <param name="Terminated">Processes that were told to go and are still there.</param>
/// <param name="Notes">What could not be read or contradicts itself.</param>
public sealed record DiagnosisLine(string File, string Kind, int Build, string? BugCheck, int Processes, int Modules, IReadOnlyList<string> Symbols, string Verdict,
    IReadOnlyList<RemainsLine> Terminated, IReadOnlyList<string> Notes)
{
    /// <summary>The line, without a line end.</summary>
    public static string Of(DiagnosedFile file, Examination seen) => JsonSerializer.Serialize(
        new DiagnosisLine(file.Path, file.Kind, file.Build, file.BugCheck is { } code ? HexText.Of(code) : null, seen.Processes, seen.Modules,
            file.Symbols, file.Verdict(seen), [.. seen.Remains.Select(RemainsLine.Of)], [.. file.Notes, .. seen.Notes]),
        JsonLayout.OneLine.DiagnosisLine);
}

/// <summary>A process that was told to go and is still there.</summary>
/// <param name="Address">EPROCESS.</param>
/// <param name="Pid">Its process ID.</param>
/// <param name="Image">EPROCESS.ImageFileName.</param>
/// <param name="Standing">"zombie", "likelyZombie", "unclear" or "ended".</param>
/// <param name="Finding">The finding's id, as a run would tell it; null when no rule explains the process.</param>
/// <param name="Driver">The guilty driver; null when there is none, or it cannot be told.</param>
/// <param name="Waited">Milliseconds that the thread has waited; null when that cannot be told.</param>
/// <param name="Says">One or two sentences.</param>
/// <param name="Facts">What was weighed.</param>
/// <param name="Thread">The thread that keeps it.</param>
/// <param name="Threads">All its threads.</param>
/// <param name="Irp">The IRP that thread waits for; null when none is outstanding.</param>
/// <param name="Irps">Outstanding IRPs of all its threads, each once.</param>
/// <param name="Module">The guilty driver's module; null when there is none, or it is not loaded.</param>
/// <param name="Holders">Of a process that has ended: who has a handle to it or to a thread of it.</param>
/// <param name="Notes">What of it could not be read.</param>
public sealed record RemainsLine(KernelAddress Address, int Pid, string Image, Standing Standing, string? Finding, string? Driver, decimal? Waited, string Says,
    IReadOnlyList<FactLine> Facts, ThreadLine? Thread, IReadOnlyList<ThreadLine> Threads, KernelAddress? Irp, IReadOnlyList<IrpLine> Irps, ModuleLine? Module,
    IReadOnlyList<HolderLine> Holders, IReadOnlyList<string> Notes)
{
    internal static RemainsLine Of(Remains seen) => new(seen.Process.Address, seen.Process.Pid, seen.Process.Image, seen.Standing, seen.Zombie?.Id, seen.Zombie?.Stuck.Driver,
        seen.Waited is { } waited ? waited.Ticks / (decimal)TimeSpan.TicksPerMillisecond : null, seen.Says, [.. seen.Facts.Select(fact => new FactLine(fact.Name, fact.Holds))],
        seen.Zombie is { } zombie ? ThreadLine.Of(zombie.Stuck.Thread) : null, [.. seen.Process.Threads.Select(ThreadLine.Of)],
        seen.Zombie?.Stuck.Irp?.Address, [.. seen.Process.Threads.SelectMany(t => t.Irps).DistinctBy(i => i.Address).Select(IrpLine.Of)],
        seen.Module is { } module ? new ModuleLine(module.File, module.Base, module.Size, module.Version, module.TimeDateStamp is { } stamp ? HexText.Of(stamp) : null) : null,
        [.. seen.Holders.Select(h => new HolderLine(h.Pid, h.Image, HexText.Of(h.Handle), h.Target))], seen.Process.Notes ?? []);
}

/// <summary>A loaded module.</summary>
/// <param name="File">"driver.sys".</param>
/// <param name="Base">Where it is loaded.</param>
/// <param name="Size">SizeOfImage in bytes.</param>
/// <param name="Version">File version, "1.2.3.4"; null when it has none, or its resources are not in memory.</param>
/// <param name="Timestamp">TimeDateStamp of its header; null when that is not in memory.</param>
public sealed record ModuleLine(string File, KernelAddress Base, uint Size, string? Version, string? Timestamp);

/// <summary>A handle that keeps what is left of a process.</summary>
/// <param name="Pid">The process that has it.</param>
/// <param name="Image">Its EPROCESS.ImageFileName.</param>
/// <param name="Handle">The handle's value there, "0x1c8".</param>
/// <param name="Target">The process's object, or that of a thread of it.</param>
public sealed record HolderLine(int Pid, string Image, string Handle, KernelAddress Target);

/// <summary>One fact that was weighed.</summary>
/// <param name="Name">"process object not signalled".</param>
/// <param name="Holds">True, false, or null: no evidence either way.</param>
public sealed record FactLine(string Name, bool? Holds);

/// <summary>What a diagnosis says of the file itself.</summary>
/// <param name="Path">As the user gave it.</param>
/// <param name="Kind">"kernel memory dump (bitmap)".</param>
/// <param name="Build">NT build number.</param>
/// <param name="BugCheck">Bug check code; null when the file tells of none.</param>
/// <param name="HoldsKernel">It holds the machine's physical memory, and not only what one thread touched.</param>
/// <param name="Symbols">The PDBs that were used, each with its name and key.</param>
/// <param name="Notes">What is wrong with the file, although it can be read.</param>
public sealed record DiagnosedFile(string Path, string Kind, int Build, uint? BugCheck, bool HoldsKernel, IReadOnlyList<string> Symbols, IReadOnlyList<string> Notes)
{
    /// <summary>"zombie"; "none" when nothing is missing and nothing open; else "unclear".</summary>
    public string Verdict(Examination seen) =>
        seen.Zombies.Any() ? "zombie" : seen.Notes.Count > 0 || !HoldsKernel || seen.Processes == 0 || seen.Remains.Any(r => r.Standing == Standing.Unclear) ? "unclear" : "none";
}
