namespace Harness.Core.Dumps;

/// <summary>A file that no kernel memory can be read from. The message is one line without the file's name: what it is, and what would help.</summary>
public sealed class UnusableDumpException(string message) : Exception(message);
