using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Harness.Core.Nt;

/// <summary>Numbers as this project writes them: "0x…", lower case.</summary>
public static class HexText
{
    /// <summary>Reads "0x1f" or "31".</summary>
    /// <exception cref="FormatException">The text is neither.</exception>
    public static ulong ParseUInt64(string? text) =>
        TryParse(text, out var value) ? value : throw new FormatException($"'{text}' is not a number; write 0x… or decimal");

    /// <summary>Reads "0x1f" or "31"; false when the text is neither.</summary>
    public static bool TryParse(string? text, out ulong value)
    {
        value = 0;
        if (text is null) return false;
        return text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
            ? ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value)
            : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
    }

    /// <summary>"0x" and the digits, no padding.</summary>
    public static string Of(ulong value) => "0x" + value.ToString("x", CultureInfo.InvariantCulture);
}

/// <summary>A 32-bit code in JSON: "0x0022200c".</summary>
public sealed class HexUInt32Json : JsonConverter<uint>
{
    public override uint Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        checked((uint)HexText.ParseUInt64(reader.GetString()));

    public override void Write(Utf8JsonWriter writer, uint value, JsonSerializerOptions options) =>
        writer.WriteStringValue("0x" + value.ToString("x8", CultureInfo.InvariantCulture));
}

/// <summary>An optional 32-bit code in JSON.</summary>
internal sealed class HexNullableUInt32Json : JsonConverter<uint?>
{
    private static readonly HexUInt32Json Inner = new();

    public override uint? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.Null ? null : Inner.Read(ref reader, typeof(uint), options);

    public override void Write(Utf8JsonWriter writer, uint? value, JsonSerializerOptions options)
    {
        if (value is null) writer.WriteNullValue();
        else Inner.Write(writer, value.Value, options);
    }
}

/// <summary>Bytes in JSON: "0a0bff", as <c>--input</c> takes them; an empty array is "".</summary>
public sealed class HexBytesJson : JsonConverter<byte[]>
{
    public override byte[] Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        Convert.FromHexString(reader.GetString() ?? "");

    public override void Write(Utf8JsonWriter writer, byte[] value, JsonSerializerOptions options) =>
        writer.WriteStringValue(Convert.ToHexStringLower(value));
}
