using System.Globalization;
using Harness.Core.Nt;

namespace Harness.Cli.Arguments;

/// <summary>Numbers as the command takes them: decimal, or hexadecimal after 0x.</summary>
internal static class NumberArgument
{
    /// <summary>A buffer's longest length in bytes: more than any driver asks for, and little enough for a guest's pool.</summary>
    public const int LongestBuffer = 16 << 20;

    private const ulong MostProcessors = 4;

    /// <summary>A seed: any 64-bit number.</summary>
    public static ulong Seed(string text) => Parse("--seed", text, ulong.MaxValue);

    /// <summary>How many processors the emulated machine has.</summary>
    public static int Processors(string text) =>
        Parse("--processors", text, MostProcessors) is > 0 and var count ? (int)count : throw new UsageException("--processors: a machine has at least 1");

    /// <summary>A buffer length in bytes.</summary>
    public static int OutputLength(string text) => (int)Parse("--output-length", text, LongestBuffer);

    private static ulong Parse(string option, string text, ulong most)
    {
        if (!HexText.TryParse(text, out var value)) throw new UsageException($"{option}: '{text}' is not a number; write it decimal, or hexadecimal after 0x");
        return value <= most ? value : throw new UsageException($"{option}: {text} is too large; at most {most.ToString(CultureInfo.InvariantCulture)}");
    }
}
