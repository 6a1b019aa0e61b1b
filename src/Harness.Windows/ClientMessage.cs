using System.Text.Json;
using System.Text.Json.Serialization;
using Harness.Core.Nt;
using Harness.Core.Stories;

namespace Harness.Windows;

/// <summary>What a client process is told first, on its standard input; later lines there are the numbers of its questions whose condition has passed.</summary>
internal sealed record ClientOrders(ClientProcess Process, string Device);

/// <summary>What a client process says, a line each on its standard output.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "says")]
[JsonDerivedType(typeof(ClientReady), "ready")]
[JsonDerivedType(typeof(ClientCalls), "calls")]
[JsonDerivedType(typeof(ClientCameBack), "cameBack")]
[JsonDerivedType(typeof(ClientAsks), "asks")]
[JsonDerivedType(typeof(ClientRefuses), "refuses")]
internal abstract record ClientMessage;

/// <summary>It has its orders and waits for an empty line to begin.</summary>
internal sealed record ClientReady : ClientMessage;

/// <summary>A thread is about to make a system call.</summary>
/// <param name="At">TimeProvider.GetTimestamp, which counts alike in all processes of a machine.</param>
internal sealed record ClientCalls(long At, int Tid, string Call, string? Request) : ClientMessage;

/// <summary>The call came back.</summary>
internal sealed record ClientCameBack(long At, int Tid, string Call, string? Request, NtStatus Status, ulong Information) : ClientMessage;

/// <summary>A thread waits for a condition that the harness watches.</summary>
internal sealed record ClientAsks(int Question, Act Condition) : ClientMessage;

/// <summary>An act of the story that a client process cannot play.</summary>
internal sealed record ClientRefuses(string Why) : ClientMessage;

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true, AllowOutOfOrderMetadataProperties = true)]
[JsonSerializable(typeof(ClientOrders))]
[JsonSerializable(typeof(ClientMessage))]
[JsonSerializable(typeof(Leftovers))]
[JsonSerializable(typeof(FactsFile))]
internal sealed partial class WindowsJson : JsonSerializerContext;
