using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Verdicts;

namespace Harness.Core.Reports;

/// <summary>One run told in a terminal of 100 columns: the timeline, the debugger's view, the guilty driver, the verdict and why.</summary>
public static class ConsoleStory
{
    private const int ClockWidth = 14;
    private const int FactWidth = Paragraph.Width - 20;
    private const string Continued = "          ";

    /// <summary>Writes the story. <paramref name="runFolder"/> is shown as given; <paramref name="color"/> allows ANSI colours.</summary>
    public static void Write(TextWriter writer, RunDescription run, IReadOnlyList<Observation> evidence, Judgement judgement, string runFolder, bool color)
    {
        var ink = new Ink(color);
        var look = new LastLook(run, evidence);
        writer.WriteLine(ink.Strong(Printable.Line($"{run.Scenario}  on target {run.Target}: {run.Driver.FileName}, {run.Driver.Device}, {RequestOf(run.Story)}")));
        writer.WriteLine();
        foreach (var entry in Timeline.Of(evidence)) Tell(writer, ink, entry);
        ShowDebugger(writer, ink, look);
        ShowGuilty(writer, ink, judgement);
        ShowVerdict(writer, ink, judgement);
        writer.WriteLine();
        Paragraph.Labelled(writer, "run folder", Printable.Line(runFolder));
        // Whole, however long: in two lines it would be two commands.
        writer.WriteLine($"{"run again",-15}{Printable.Line(run.Replay)}");
    }

    /// <summary>The story's request as its act sends it: "ioctl 0x222008", "create \file".</summary>
    private static string RequestOf(Story story) =>
        story.Processes.SelectMany(p => p.Threads).SelectMany(t => t.Acts).Select(act => act switch
        {
            DeviceControl control when control.Request == story.Request => $"ioctl {HexText.Of(control.Code)}",
            ReadFile read when read.Request == story.Request => $"read of {read.Length} bytes at {HexText.Of((ulong)read.Offset)}",
            WriteFile write when write.Request == story.Request => $"write of {write.Input.Length} bytes at {HexText.Of((ulong)write.Offset)}",
            OpenDevice open when open.Request == story.Request => $"create {open.File}",
            _ => null,
        }).FirstOrDefault(text => text is not null) ?? "no request";

    private static void Tell(TextWriter writer, Ink ink, TimelineEntry entry)
    {
        var first = true;
        foreach (var line in Paragraph.Wrap(entry.Text, Paragraph.Width - ClockWidth - 2))
        {
            var clock = first ? Spelled.Clock(entry.At).PadLeft(ClockWidth) : new string(' ', ClockWidth);
            writer.WriteLine($"{ink.Faint(clock)}  {ink.Of(entry.Voice, line)}");
            first = false;
        }
    }

    private static void ShowDebugger(TextWriter writer, Ink ink, LastLook look)
    {
        if (look.Telling?.Memory is not { } memory) return;
        writer.WriteLine();
        writer.WriteLine(ink.Strong($"What a kernel debugger shows at '{Printable.Line(memory.Checkpoint)}' ({Spelled.Clock(memory.At)})"));
        writer.WriteLine();
        if (look.Telling.Record is null)
        {
            writer.WriteLine($"{look.Testimony.Victim} is not in kernel memory any more.");
            return;
        }

        foreach (var line in DebuggerText.Of(look.Telling.Record).Select(Printable.Line))
        {
            // A table's columns stay where they are; only what is too wide goes on in the next line.
            var parts = line.Length <= Paragraph.Width ? [line] : Paragraph.Wrap(line, Paragraph.Width - Continued.Length);
            writer.WriteLine(string.Join(writer.NewLine + Continued, parts));
        }
    }

    private static void ShowGuilty(TextWriter writer, Ink ink, Judgement judgement)
    {
        foreach (var finding in judgement.Findings)
        {
            writer.WriteLine();
            writer.WriteLine($"{ink.Strong("guilty driver")}  {ink.Of(Voice.Alarm, Printable.Line(finding.Driver ?? "cannot be told"))}");
            Paragraph.Labelled(writer, "finding", $"{finding.Id}{(finding.Expected ? " (expected)" : "")}: {Printable.Line(finding.Title)}");
            Paragraph.Labelled(writer, "", Printable.Line(finding.Says));
        }
    }

    private static void ShowVerdict(TextWriter writer, Ink ink, Judgement judgement)
    {
        writer.WriteLine();
        var word = judgement.Verdict.ToString().ToUpperInvariant();
        var first = true;
        foreach (var line in Paragraph.Wrap(Printable.Line(judgement.Because), Paragraph.Width - 15))
        {
            writer.WriteLine(first ? ink.Verdict(judgement.Verdict, word) + new string(' ', 15 - word.Length) + line : new string(' ', 15) + line);
            first = false;
        }

        foreach (var fact in judgement.Facts)
        {
            var mark = fact.Holds switch { true => "yes", false => "no", null => "?" };
            var lines = Paragraph.Wrap(Printable.Line(fact.Name), FactWidth).ToList();
            if (fact.Source is not null)
            {
                var source = $"  [{Printable.Line(fact.Source)}]";
                if (lines[^1].Length + source.Length <= FactWidth) lines[^1] += ink.Faint(source);
                else lines.Add(ink.Faint(source.TrimStart()));
            }

            foreach (var line in lines)
            {
                writer.WriteLine($"{"",15}{mark,-5}{line}");
                mark = "";
            }
        }
    }
}
