using Harness.Core.Verdicts;

namespace Harness.Core.Reports;

/// <summary>Text in a terminal of 100 columns.</summary>
internal static class Paragraph
{
    internal const int Width = 100;

    /// <summary>Where text begins beside its label.</summary>
    internal const int Indent = 15;

    /// <summary>A label and text beside it, on as many lines as it needs.</summary>
    internal static void Labelled(TextWriter writer, string label, string text)
    {
        foreach (var line in Wrap(text, Width - Indent))
        {
            writer.WriteLine($"{label,-Indent}{line}");
            label = "";
        }
    }

    /// <summary>Breaks at spaces; a word longer than the line stays whole, so that a path or a command can be copied.</summary>
    internal static IEnumerable<string> Wrap(string text, int width)
    {
        while (text.Length > width)
        {
            var cut = text.LastIndexOf(' ', width);
            if (cut <= 0) cut = text.IndexOf(' ', width);
            if (cut < 0) break;
            yield return text[..cut];
            text = text[(cut + 1)..];
        }

        yield return text;
    }
}

/// <summary>ANSI colours, where the terminal takes them.</summary>
internal readonly record struct Ink(bool Color)
{
    internal string Strong(string text) => Paint("1", text);

    internal string Faint(string text) => Paint("2", text);

    internal string Of(Voice voice, string text) => voice switch
    {
        Voice.Client => Paint("36", text),
        Voice.Driver => Paint("33", text),
        Voice.Alarm => Paint("1;31", text),
        Voice.Harness => Paint("2", text),
        _ => text,
    };

    internal string Verdict(Verdict verdict, string text) => verdict switch
    {
        Verdicts.Verdict.Pass => Paint("1;32", text),
        Verdicts.Verdict.Fail or Verdicts.Verdict.Error => Paint("1;31", text),
        _ => Paint("1;33", text),
    };

    private string Paint(string code, string text) => Color ? $"\u001b[{code}m{text}\u001b[0m" : text;
}
