using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Harness.HyperV;

/// <summary>One line of conversation.jsonl: a step and what came back.</summary>
/// <param name="Step">The value of -Step.</param>
/// <param name="Arguments">Its parameters.</param>
/// <param name="ExitCode">Of the script's process; null when it was ended.</param>
/// <param name="Noise">What it said besides, a character for each byte; at most 64 KiB.</param>
/// <param name="Answer">Its answer, or the one that was made for it.</param>
internal sealed record Exchange(string Step, IReadOnlyDictionary<string, string> Arguments, int? ExitCode, string Noise, HostAnswer Answer);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(Exchange))]
[JsonSerializable(typeof(HostAnswer))]
internal sealed partial class ConversationJson : JsonSerializerContext;

internal static class ConversationLine
{
    internal static ConversationJson Json { get; } = new(new JsonSerializerOptions(ConversationJson.Default.Options) { TypeInfoResolver = null, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
