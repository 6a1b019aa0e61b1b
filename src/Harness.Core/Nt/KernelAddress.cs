using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Harness.Core.Nt;

/// <summary>A virtual address in the target's kernel (or in a process of it). Written as "0x…" in every file and on every screen.</summary>
[JsonConverter(typeof(KernelAddressJson))]
public readonly record struct KernelAddress(ulong Value)
{
    /// <summary>The null pointer.</summary>
    public static KernelAddress Null => default;

    /// <summary>True for the null pointer.</summary>
    public bool IsNull => Value == 0;

    /// <summary>True for an address in the upper half of the x64 canonical address space.</summary>
    public bool IsKernel => Value >= 0xFFFF_8000_0000_0000;

    public static KernelAddress operator +(KernelAddress address, ulong bytes) => new(address.Value + bytes);

    public static KernelAddress operator -(KernelAddress address, ulong bytes) => new(address.Value - bytes);

    public override string ToString() => "0x" + Value.ToString("x", CultureInfo.InvariantCulture);
}

internal sealed class KernelAddressJson : JsonConverter<KernelAddress>
{
    public override KernelAddress Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        new(HexText.ParseUInt64(reader.GetString()));

    public override void Write(Utf8JsonWriter writer, KernelAddress value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.ToString());
}
