using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Reports;

/// <summary>A diagnosis told in a terminal: the file, each terminated process that is still there and why, and the sum of it.</summary>
public static class DiagnosisText
{
    /// <summary>Writes it. <paramref name="debugger"/>: each process also as a kernel debugger shows it.</summary>
    public static void Write(TextWriter writer, DiagnosedFile file, Examination seen, bool debugger, bool color)
    {
        var ink = new Ink(color);
        // A path stays whole, so that it can be copied.
        writer.WriteLine(ink.Strong(Printable.Line(file.Path)));
        Paragraph.Labelled(writer, "", $"{file.Kind}, NT build {file.Build}{(file.BugCheck is { } code ? $", bug check {HexText.Of(code)}{(code == LiveDump ? " (live dump)" : "")}" : "")}, {Count(seen.Processes, "process", "processes")}, {Count(seen.Modules, "module", "modules")}");
        if (file.Symbols.Count > 0) Paragraph.Labelled(writer, "symbols", Printable.Line(string.Join(", ", file.Symbols)));
        foreach (var remains in seen.Remains) Tell(writer, ink, remains, debugger);
        if (file.Notes.Count + seen.Notes.Count > 0) writer.WriteLine();
        foreach (var note in file.Notes.Concat(seen.Notes)) Paragraph.Labelled(writer, "note", Printable.Line(note));
        writer.WriteLine();
        var verdict = file.Verdict(seen);
        var zombies = seen.Zombies.Count();
        writer.WriteLine(verdict switch
        {
            "zombie" => ink.Of(Voice.Alarm, Count(zombies, "zombie process", "zombie processes")),
            "none" => "no zombie process",
            _ when !file.HoldsKernel => "It cannot be told: a kernel minidump holds what one thread touched; set the machine to write a kernel or automatic memory dump.",
            _ => "It cannot be told whether there is a zombie process.",
        });
    }

    /// <summary>LIVE_SYSTEM_DUMP of Microsoft's bug check reference.</summary>
    private const uint LiveDump = 0x161;

    private static void Tell(TextWriter writer, Ink ink, Remains remains, bool debugger)
    {
        writer.WriteLine();
        var word = remains.Standing switch { Standing.Zombie => "ZOMBIE", Standing.LikelyZombie => "LIKELY ZOMBIE", Standing.Unclear => "UNCLEAR", _ => "ended" };
        Paragraph.Labelled(writer, word, Printable.Line(remains.Says));
        if (remains.Zombie is { } zombie)
        {
            writer.WriteLine($"{ink.Strong("guilty driver")}  {ink.Of(Voice.Alarm, Printable.Line(zombie.Stuck.Driver ?? "cannot be told"))}{(remains.Module is { } module ? About(module) : "")}");
            Paragraph.Labelled(writer, "finding", $"{zombie.Id}: {zombie.Title}");
        }

        foreach (var (name, holds) in remains.Facts) writer.WriteLine($"{"",Paragraph.Indent}{holds switch { true => "yes", false => "no", null => "?" },-5}{Printable.Line(name)}");
        if (!debugger) return;
        writer.WriteLine();
        foreach (var line in DebuggerText.Of(remains.Process)) writer.WriteLine(Printable.Line(line));
    }

    /// <summary>", version 1.2.3.4, timestamp 0x5f3e2d1c", as lmv has them.</summary>
    private static string About(ModuleRecord module) =>
        (module.Version is { } version ? $", version {version}" : "") + (module.TimeDateStamp is { } stamp and not 0 ? $", timestamp {HexText.Of(stamp)}" : "");

    private static string Count(int count, string one, string many) => count == 1 ? $"1 {one}" : $"{count} {many}";
}
