namespace Harness.Core.Traces;

/// <summary>A file that no events can be read from. The message is one line without the file's name: what it is, and what would help.</summary>
public sealed class UnusableTraceException(string message, bool isTrace = false) : Exception(message)
{
    /// <summary>It is a trace, of a kind that is not read.</summary>
    public bool IsTrace { get; } = isTrace;
}
