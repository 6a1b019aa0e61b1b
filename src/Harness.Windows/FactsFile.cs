namespace Harness.Windows;

/// <summary>windows-facts.json.</summary>
internal sealed record FactsFile(string Machine);
