using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Harness.Core.Evidence;
using Harness.Core.Verdicts;

namespace Harness.Core.Reports;

/// <summary>
/// Every JSON of this project goes through here (a night's through its own, laid out alike), so that nothing needs reflection. Names are camelCase; addresses, codes and bytes are
/// hexadecimal strings; a TimeSpan is "[d.]hh:mm:ss[.fffffff]"; NT's enumerations keep NT's spelling ("DelayExecution").
/// A missing or null field that should be there is an error, an unknown one is skipped.
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    RespectRequiredConstructorParameters = true,
    RespectNullableAnnotations = true,
    AllowOutOfOrderMetadataProperties = true,
    Converters = [typeof(TimeSpanJson)],
    GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(Observation))]
[JsonSerializable(typeof(RunDescription))]
[JsonSerializable(typeof(Judgement))]
[JsonSerializable(typeof(RunLine))]
[JsonSerializable(typeof(DiagnosisLine))]
[JsonSerializable(typeof(TraceDiagnosisLine))]
public sealed partial class HarnessJson : JsonSerializerContext;

/// <summary>The two ways <see cref="HarnessJson"/> is laid out. Both write the same bytes on every system.</summary>
public static class JsonLayout
{
    // Files and terminals, not web pages: "driver.sys+0x1234" must stay readable.
    private static readonly JavaScriptEncoder Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping;

    /// <summary>On one line, for JSON Lines.</summary>
    public static HarnessJson OneLine { get; } = new(new JsonSerializerOptions(HarnessJson.Default.Options) { Encoder = Encoder });

    /// <summary>Indented, for run.json and verdict.json.</summary>
    public static HarnessJson Indented { get; } = new(new JsonSerializerOptions(HarnessJson.Default.Options)
    {
        Encoder = Encoder,
        WriteIndented = true,
        NewLine = "\n",
    });

    /// <summary>
    /// Builds the contracts that a run folder's files need. The first use would do it anyway; measured, it is some 200 ms of
    /// a cold start, so a command may call this on a thread of its own while the target plays. Safe from any thread, any number of times.
    /// </summary>
    public static void Prepare()
    {
        _ = OneLine.Observation;
        _ = Indented.RunDescription;
        _ = Indented.Judgement;
    }
}

/// <summary>
/// A time in JSON, "[d.]hh:mm:ss[.fffffff]". None is further than some seven thousand years away, as far as a damaged trace may say: so that one can be subtracted
/// from another.
/// </summary>
internal sealed class TimeSpanJson : JsonConverter<TimeSpan>
{
    private static readonly TimeSpan Furthest = TimeSpan.FromTicks(long.MaxValue / 4);

    public override TimeSpan Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && TimeSpan.TryParseExact(reader.GetString(), "c", CultureInfo.InvariantCulture, out var time) && time <= Furthest && time >= -Furthest ? time : throw new JsonException();

    public override void Write(Utf8JsonWriter writer, TimeSpan value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString("c", CultureInfo.InvariantCulture));
}
