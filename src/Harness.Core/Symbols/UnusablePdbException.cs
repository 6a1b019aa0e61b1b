namespace Harness.Core.Symbols;

/// <summary>A file that no symbols can be read from. The message is one line without the file's name: what it is.</summary>
public sealed class UnusablePdbException(string message) : Exception(message);
