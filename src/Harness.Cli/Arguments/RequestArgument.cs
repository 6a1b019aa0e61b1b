using System.Globalization;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Scenarios;

namespace Harness.Cli.Arguments;

/// <summary>The request that the victim sends: how, its control code and its input.</summary>
internal static class RequestArgument
{
    /// <summary>A control code: a number, or the name of one of MyFault's requests, which may be said to any driver that speaks its interface.</summary>
    public static uint Ioctl(string text)
    {
        if (HexText.TryParse(text, out var code))
            return code <= uint.MaxValue ? (uint)code : throw new UsageException($"--ioctl: {text} has more than 32 bits");
        return MyFault.Named(text)?.Code
            ?? throw new UsageException($"--ioctl: '{text}' is neither a number nor a request of {MyFault.FileName}'s{NearMiss.Hint(text, MyFault.Requests.Select(request => request.Name))}");
    }

    /// <summary>The value of --request.</summary>
    public static RequestKind Kind(string text) => text.ToLowerInvariant() switch
    {
        "control" => RequestKind.Control,
        "read" => RequestKind.Read,
        "write" => RequestKind.Write,
        _ => throw new UsageException($"--request: '{text}' is none of control, read and write"),
    };

    /// <summary>As <see cref="Kind"/> reads it.</summary>
    public static string Text(RequestKind kind) => kind.ToString().ToLowerInvariant();

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
