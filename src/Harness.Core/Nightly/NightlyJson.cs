using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Harness.Core.Reports;

namespace Harness.Core.Nightly;

/// <summary>night.json and the baseline, laid out as <see cref="HarnessJson"/> lays out a run's files.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(Night))]
[JsonSerializable(typeof(Baseline))]
internal sealed partial class NightlyJson : JsonSerializerContext
{
    internal static NightlyJson Indented { get; } = new(new JsonSerializerOptions(JsonLayout.Indented.Options) { TypeInfoResolver = null });

    internal static void Write<T>(Stream stream, T value, JsonTypeInfo<T> type)
    {
        JsonSerializer.Serialize(stream, value, type);
        stream.WriteByte((byte)'\n');
    }
}
