using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Reports;

/// <summary>A diagnosis of an event trace told in a terminal: the trace, each process that was to end and did not at once, and the sum of it.</summary>
public static class TraceDiagnosisText
{
    /// <summary>Writes it.</summary>
    public static void Write(TextWriter writer, DiagnosedTrace file, TraceDiagnosis seen, bool color)
    {
        var ink = new Ink(color);
        var title = $"{Printable.Line(file.Path)}: event trace log, NT build {file.Header.Build}, {Count((int)file.Header.Processors, "processor", "processors")}, {Spelled.Duration(seen.Length)}, {Count(seen.Asked, "process", "processes")} asked to end";
        foreach (var line in Paragraph.Wrap(title, Paragraph.Width)) writer.WriteLine(ink.Strong(line));
        var symbols = file.Symbols.Concat(seen.Symbols).ToList();
        if (symbols.Count > 0) Paragraph.Labelled(writer, "symbols", Printable.Line(string.Join(", ", symbols)));
        foreach (var fate in seen.Fates) Tell(writer, ink, fate);
        if (seen.Forgotten > 0) Paragraph.Labelled(writer, "no zombie", $"{Count(seen.Forgotten, "more process", "more processes")} went within a second.");
        if (seen.Gaps.Count + seen.Lacks.Count + file.Notes.Count + seen.Notes.Count > 0) writer.WriteLine();
        foreach (var gap in seen.Gaps) Paragraph.Labelled(writer, "gap", Printable.Line(gap));
        foreach (var lack in seen.Lacks) Paragraph.Labelled(writer, "not in it", Printable.Line(lack));
        foreach (var note in file.Notes.Concat(seen.Notes)) Paragraph.Labelled(writer, "note", Printable.Line(note));
        writer.WriteLine();
        var zombies = seen.Fates.Count(fate => fate.IsZombie);
        writer.WriteLine(seen.Verdict switch
        {
            "zombie" => ink.Of(Voice.Alarm, Count(zombies, "zombie process", "zombie processes")),
            "none" => "no zombie process",
            _ => "It cannot be told whether there was a zombie process.",
        });
    }

    private static void Tell(TextWriter writer, Ink ink, TracedFate fate)
    {
        var word = fate.Answer switch { Answer.Proven => "PROVEN", Answer.ConsistentWith => "CONSISTENT", Answer.CannotTell => "CANNOT TELL", _ => "no zombie" };
        // Most processes go at once: a line is enough for them.
        if (fate.Answer != Answer.NotAZombie) writer.WriteLine();
        Paragraph.Labelled(writer, word, Printable.Line(fate.Says));
        if (fate.IsZombie)
        {
            writer.WriteLine($"{ink.Strong("guilty driver")}  {ink.Of(Voice.Alarm, Printable.Line(fate.Driver ?? "cannot be told"))}");
            if (fate.Hold is { } hold) Paragraph.Labelled(writer, "finding", $"{Zombie.Finding(hold).Id}: {Zombie.Finding(hold).Title}");
        }

        foreach (var (name, holds) in fate.Facts) writer.WriteLine($"{"",Paragraph.Indent}{holds switch { true => "yes", false => "no", null => "?" },-5}{Printable.Line(name)}");
        if (fate.Answer == Answer.NotAZombie) return;
        foreach (var request in fate.Requests) Tell(writer, request);
        if (fate.Wait is { } wait) Tell(writer, wait);
        foreach (var other in fate.Waits) Tell(writer, other);
    }

    private static void Tell(TextWriter writer, TracedRequest request)
    {
        var down = request.SentDownBy.Count == 0 ? "" : $", sent down by {string.Join(", ", request.SentDownBy)}";
        var end = request.Completed is { } at ? $"completed at {Spelled.Clock(at)} on {Thread(request.CompletedBy!)}" : "never completed";
        Paragraph.Labelled(writer, "IRP", Printable.Line($"{request.Address} {request.Major.NtName()}, {request.Routine}{down}, since {Spelled.Clock(request.Since)} by thread {request.Tid}; {end}"));
    }

    /// <summary>The columns of Windows Performance Analyzer and PerfView.</summary>
    private static void Tell(TextWriter writer, TracedWait wait)
    {
        writer.WriteLine($"thread {wait.Tid}");
        Column("wait reason", $"({wait.WaitReason})");
        Column("switches in", wait.Switches == 0 ? "never again" : wait.Until is { } until ? $"{Count(wait.Switches, "time", "times")}, last at {Spelled.Clock(until)}" : "");
        Column("time since last", Spelled.Duration(wait.TimeSinceLast));
        Column("ready thread", wait.Ready is { } ready ? $"{Thread(ready.By)}{(ready.InDpc ? " (DPC)" : "")} at {Spelled.Clock(ready.At)}" : "none");
        Stack("ready thread stack", wait.Ready?.Stack ?? []);
        Stack("switch-in stack", wait.SwitchInStack);

        void Column(string name, string value) => writer.WriteLine($"    {name,-20}{Printable.Line(value)}");

        void Stack(string name, IReadOnlyList<string> frames)
        {
            foreach (var frame in frames)
            {
                Column(name, frame);
                name = "";
            }
        }
    }

    private static string Thread(TracedThread thread) => thread.Tid < 0 ? "an unknown thread" : thread.Pid < 0 ? $"thread {thread.Tid}" : $"thread {thread.Tid} of '{thread.Image}' (pid {thread.Pid})";

    private static string Count(int count, string one, string many) => count == 1 ? $"1 {one}" : $"{count} {many}";
}
