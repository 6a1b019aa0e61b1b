namespace Scenarios.Tests;

/// <summary>The folder this source tree is in: tests read sources, documents and driver binaries from it.</summary>
internal static class Repository
{
    public static readonly string Root = Find();

    public static string File(params string[] path) => Path.Combine([Root, .. path]);

    private static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
            if (System.IO.File.Exists(Path.Combine(folder.FullName, "DriverFaultHarness.sln")))
                return folder.FullName;
        throw new InvalidOperationException($"{AppContext.BaseDirectory} is not inside the repository; run the tests from its artifacts folder");
    }
}
