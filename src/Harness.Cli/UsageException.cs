namespace Harness.Cli;

/// <summary>Arguments or an input file that cannot be used. The message is one line for the user: what it is, and what would help.</summary>
internal sealed class UsageException(string message) : Exception(message);
