using System.Globalization;
using Harness.Core.Nt;
using Harness.Scenarios;

namespace Harness.Cli.Arguments;

/// <summary>The request that the victim sends: its control code and its input.</summary>
internal static class RequestArgument
{
    /// <summary>A control code: a number, or for MyFault the name of one of its requests.</summary>
    public static uint Ioctl(string text, bool ofMyFault)
    {
        if (HexText.TryParse(text, out var code))
            return code <= uint.MaxValue ? (uint)code : throw new UsageException($"--ioctl: {text} has more than 32 bits");
        if (!ofMyFault) throw new UsageException($"--ioctl: '{text}' is not a number; names are only known of {MyFault.FileName}");
        return MyFault.Named(text)?.Code
            ?? throw new UsageException($"--ioctl: {MyFault.FileName} has no request '{text}'{NearMiss.Hint(text, MyFault.Requests.Select(request => request.Name))}");
    }

    /// <summary>Input bytes: hexadecimal digits, or @ and the name of a file that holds the bytes themselves.</summary>
    public static byte[] Input(string text)
    {
        if (text.StartsWith('@')) return InputFile.Read("--input", text[1..], NumberArgument.LongestBuffer);
        var digits = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? text[2..] : text;
        digits = digits.Replace(" ", "", StringComparison.Ordinal);
        if (digits.Length % 2 != 0 || !digits.All(char.IsAsciiHexDigit))
            throw new UsageException($"--input: '{Shortened(text)}' is not bytes in hexadecimal (two digits each), nor @FILE");
        return Convert.FromHexString(digits);
    }

    private static string Shortened(string text) => text.Length <= 40 ? text : string.Create(CultureInfo.InvariantCulture, $"{text[..37]}… ({text.Length} characters)");
}
