using Harness.Cli;
using Harness.Core.Targets;
using Harness.Emulation;
using Harness.HyperV;
using Harness.Windows;

namespace Scenarios.Tests.Cli;

/// <summary>One command line, run in this process.</summary>
/// <param name="Code">What the process would return.</param>
/// <param name="Out">Standard output.</param>
/// <param name="Error">Standard error.</param>
internal sealed record CommandRun(ExitCode Code, string Out, string Error)
{
    /// <summary>2026-11-22 08:43:12 UTC, for ever.</summary>
    public static readonly DateTimeOffset Now = new(2026, 11, 22, 8, 43, 12, TimeSpan.Zero);

    private static string Nowhere => Path.Combine(Path.GetTempPath(), "driverfault-tests-must-name-their-folders");

    /// <summary>The lines of standard output.</summary>
    public string[] Lines => Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>On the emulated target.</summary>
    public static CommandRun Of(params string[] args) => On(new EmulatedTarget(), args);

    /// <summary>On this target in place of the emulated one.</summary>
    public static CommandRun On(ITarget emulated, params string[] args) => In(Nowhere, emulated, null, args);

    /// <summary>Where _NT_SYMBOL_PATH is set.</summary>
    public static CommandRun WithSymbolPath(string path, params string[] args) => In(Nowhere, new EmulatedTarget(), path, args);

    /// <summary>With this folder for the repository's.</summary>
    public static CommandRun In(string root, ITarget emulated, params string[] args) => In(root, emulated, null, args);

    private static CommandRun In(string root, ITarget emulated, string? symbolPath, string[] args)
    {
        using var output = new StringWriter { NewLine = "\n" };
        using var error = new StringWriter { NewLine = "\n" };
        var around = new Surroundings(output, error, Color: false, new StoppedClock(), [emulated, new LocalTarget(TimeProvider.System, [], null, _ => { }), new HyperVTarget(GuestOptions.Of(root, _ => null), TimeProvider.System)], "driverfault", root, symbolPath, Debug: false);
        var code = DriverFault.Run(args, around);
        return new CommandRun(code, output.ToString(), error.ToString());
    }

    private sealed class StoppedClock : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => Now;
    }
}

/// <summary>A folder of a test's own, gone when the test is.</summary>
internal sealed class Scratch : IDisposable
{
    public Scratch() => Folder = Directory.CreateTempSubdirectory("driverfault-").FullName;

    public string Folder { get; }

    public string this[params string[] path] => Path.Combine([Folder, .. path]);

    /// <summary>Writes a file into it and returns its path.</summary>
    public string File(string name, params byte[] content)
    {
        System.IO.File.WriteAllBytes(this[name], content);
        return this[name];
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
