using Scenarios.Tests.Scripts;

namespace Scenarios.Tests.Debugger;

/// <summary>
/// Microsoft's debugger engine under Wine, as a second opinion on a dump: Debian's wine64 and gcc-mingw-w64-x86-64, and the package that tests/DbgEng names.
/// Whoever uses it has a Wine of its own, in a folder outside the repository: a link to the whole file system is in it, which whoever looks for sources must not meet.
/// </summary>
public class DbgEng : IAsyncDisposable
{
    private static readonly string[] Wines = ["/usr/lib/wine/wine64", "/usr/bin/wine64"];

    private readonly string _folder = Directory.CreateTempSubdirectory("driverfault-wine-").FullName;

    /// <summary>What is not here; null when everything is.</summary>
    public static string? Lacks =>
        OperatingSystem.IsWindows() ? "Wine is what runs it here"
        : Wine is null ? "wine64 is not installed"
        : Compiler is null ? "x86_64-w64-mingw32-gcc is not installed"
        : Engine is null ? "the debugger engine is not here ('dotnet restore tests/DbgEng' fetches it)"
        : null;

    private static string? Wine => Wines.FirstOrDefault(File.Exists);

    private static string? Compiler => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(folder => Path.Combine(folder, "x86_64-w64-mingw32-gcc")).FirstOrDefault(File.Exists);

    private static string? Engine
    {
        get
        {
            var packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
            var package = Path.Combine(packages, "microsoft.debugging.platform.dbgeng");
            return Directory.Exists(package) ? Directory.EnumerateDirectories(package).Order(StringComparer.Ordinal).Select(version => Path.Combine(version, "content", "amd64")).LastOrDefault(Directory.Exists) : null;
        }
    }

    private string Program => Path.Combine(_folder, "dbgeng-run.exe");

    // The engine brings its own dbghelp; Wine would take its own of both. No window, no crash dialogue, no Mono.
    private (string, string)[] InPrefix =>
    [
        ("WINEPREFIX", Path.Combine(_folder, "prefix")), ("WINEARCH", "win64"), ("WINEDEBUG", "-all"), ("DISPLAY", ""),
        ("WINEDLLOVERRIDES", "dbgeng,dbghelp,dbgcore,dbgmodel,msdia140=n;mscoree,mshtml=;winemenubuilder.exe,winedbg.exe="),
    ];

    /// <summary>Once, before anything is asked. Nothing happens where something is not here.</summary>
    public async ValueTask InitializeAsync()
    {
        if (Lacks is not null) return;
        var built = await ScriptRun.Of(Compiler!, ["-O1", "-static", "-o", Program, Repository.File("tests", "DbgEng", "dbgeng-run.c")], Repository.Root);
        if (built.Code != 0) throw new InvalidOperationException(built.Error);
        await InWine(["wineboot", "--init"], Path.Combine(_folder, "wineboot.txt"));
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        // Wine's servers go first. rm takes links away and never what they lead to.
        if (Lacks is null) await ScriptRun.Of("/bin/sh", ["-c", "\"$1\"/wineserver -k -w || true", "sh", Path.GetDirectoryName(Wine)!], _folder, InPrefix);
        if (!OperatingSystem.IsWindows()) await ScriptRun.Of("rm", ["-rf", _folder], "/");
    }

    /// <summary>What the engine says to commands about MEMORY.DMP of a run folder, command by command. Images are looked for in that folder.</summary>
    public async Task<IReadOnlyList<string>> Ask(string folder, params string[] commands)
    {
        var output = Path.Combine(folder, "dbgeng.txt");
        string[] command = [Program, OfWindows(Engine!), OfWindows(Path.Combine(folder, "MEMORY.DMP")), OfWindows(folder), .. commands];
        var run = await InWine(command, output);
        // Now and then Wine cannot start a process (scripts/wine.sh). What fails for a reason of ours fails again.
        if (run.Code != 0) run = await InWine(command, output);
        var said = await File.ReadAllTextAsync(output);
        if (run.Code != 0) throw new InvalidOperationException($"dbgeng-run ended with {run.Code}: {said}");
        return [.. said.ReplaceLineEndings("\n").Split("\n== ").Skip(1).Select(answer => answer[(answer.IndexOf('\n', StringComparison.Ordinal) + 1)..])];
    }

    // Wine leaves servers behind that inherit what it was given: a pipe would never end.
    private Task<ScriptRun> InWine(string[] args, string output) =>
        ScriptRun.Of("/bin/sh", ["-c", """out=$1; shift; exec "$@" > "$out" 2>&1 < /dev/null""", "sh", output, Wine!, .. args], _folder, InPrefix);

    private static string OfWindows(string path) => "Z:" + path.Replace('/', '\\');
}
