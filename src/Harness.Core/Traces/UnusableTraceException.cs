namespace Harness.Core.Traces;

/// <summary>A file that no events can be read from. The message is one line without the file's name: what it is, and what would help.</summary>
public sealed class UnusableTraceException(string message) : Exception(message);
