using System.Runtime.Versioning;
using Scenarios.Tests.Cli;

namespace Scenarios.Tests.Scripts;

/// <summary>
/// The start scripts in a folder of their own (with a space in its name), with a dotnet that does what a test says: so what the scripts
/// make of a build or a test host that fails can be seen without one.
/// </summary>
[UnsupportedOSPlatform("windows")]
internal sealed class FakeRepository : IDisposable
{
    private const UnixFileMode Executable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly Scratch _scratch = new();

    public FakeRepository(string dotnet)
    {
        Directory.CreateDirectory(Path.Combine(Root, "scripts"));
        foreach (var script in new[] { "driverfault", "test", "scripts/dotnet.sh" }) File.Copy(Repository.File(script), Path.Combine(Root, script));
        foreach (var project in new[] { "A.Tests", "B.Tests" }) Write($"tests/{project}/{project}.csproj", "<Project/>");
        foreach (var file in new[] { "src/Harness.Cli/Program.cs", "driver/myfault/bin/x64/myfault.sys", "Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props", "global.json", "BannedSymbols.txt", ".editorconfig" }) Write(file, "");
        var fake = Write("bin/dotnet", "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 10.0.100; exit; fi\n" + dotnet);
        File.SetUnixFileMode(fake, Executable);
    }

    public string Root => _scratch["a repository"];

    public void Dispose() => _scratch.Dispose();

    /// <summary>Runs one of the scripts with the fake dotnet.</summary>
    public Task<ScriptRun> Run(string script, params string[] args) => RunFrom(Root, script, args);

    /// <summary>The same from another folder.</summary>
    public Task<ScriptRun> RunFrom(string folder, string script, params string[] args) =>
        ScriptRun.Of(Path.Combine(Root, script), args, folder, ("PATH", Path.Combine(Root, "bin") + ":" + Environment.GetEnvironmentVariable("PATH")));

    /// <summary>Makes a file; the time of an existing one is moved on, as an editor would.</summary>
    public string Write(string path, string text)
    {
        var file = Path.Combine(Root, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        var later = File.Exists(file) ? File.GetLastWriteTimeUtc(file).AddHours(1) : (DateTime?)null;
        File.WriteAllText(file, text);
        if (later is { } time) File.SetLastWriteTimeUtc(file, time);
        return file;
    }

    /// <summary>A file's text.</summary>
    public string Read(string path) => File.ReadAllText(Path.Combine(Root, path));

    /// <summary>A link to a script, in a folder of its own.</summary>
    public string Link(string script)
    {
        var link = _scratch["a link"];
        File.CreateSymbolicLink(link, Path.Combine(Root, script));
        return link;
    }
}
