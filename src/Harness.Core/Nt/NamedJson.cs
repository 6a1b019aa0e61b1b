using System.Text.Json.Serialization;

namespace Harness.Core.Nt;

/// <summary>A value of an enumeration in JSON by its name and by nothing else: a number that has no name would be a value that no rule knows.</summary>
internal sealed class NamedJson<T>() : JsonStringEnumConverter<T>(namingPolicy: null, allowIntegerValues: false) where T : struct, Enum;
