using System.CommandLine;
using Harness.Core.Diagnosis;
using Harness.Core.Dumps;
using Harness.Core.Reports;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault diagnose</c>: what a person does by hand with !process and !irp, on the kernel memory in a file.</summary>
internal sealed class DiagnoseCommand
{
    private readonly Surroundings _around;
    private readonly Argument<string> _file = new("FILE") { Description = "a kernel dump (MEMORY.DMP), an ELF core of a machine, or a raw image of its memory" };
    private readonly Option<bool> _debugger = new("--kd") { Description = "show each terminated process as a kernel debugger does" };
    private readonly Option<string?> _format = new("--format") { HelpName = "text|json", Description = "text (default), or one JSON object" };

    public DiagnoseCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("diagnose", "Find processes that were killed and cannot end in the kernel memory of a machine, and the driver that keeps them.") { _file, _debugger, _format };
        Command.SetAction(parsed => (int)Diagnose(parsed));
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private ExitCode Diagnose(ParseResult parsed)
    {
        var format = Formats.Parse(parsed.GetValue(_format));
        var path = parsed.GetRequiredValue(_file);
        using var dump = Open(path);
        var file = new DiagnosedFile(path, dump.Kind, dump.Build, dump.BugCheck, dump.PhysicalBytes > 0, dump.Notes);
        var seen = Examination.Of(dump);
        try
        {
            if (format == Format.Json) _around.Out.WriteLine(DiagnosisLine.Of(file, seen));
            else DiagnosisText.Write(_around.Out, file, seen, parsed.GetValue(_debugger), _around.Color);
            _around.Out.Flush();
        }
        catch (IOException e)
        {
            throw new UnwritableResultsException($"cannot write to standard output: {Fault.Of(e)}", e);
        }

        return file.Verdict(seen) switch { "zombie" => ExitCode.Fail, "none" => ExitCode.Pass, _ => ExitCode.Inconclusive };
    }

    private static KernelDump Open(string path)
    {
        try
        {
            if (Directory.Exists(path)) throw new UsageException($"diagnose: {path} is a folder");
            if (!File.Exists(path)) throw new UsageException($"diagnose: there is no file {path}");
            return KernelDump.Open(path);
        }
        catch (UnusableDumpException e)
        {
            throw new UsageException($"diagnose: {path} {e.Message}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UsageException($"diagnose: cannot read '{path}': {Fault.Of(e)}");
        }
    }
}
