using System.CommandLine;
using Harness.Core.Diagnosis;
using Harness.Core.Dumps;
using Harness.Core.Reports;
using Harness.Core.Symbols;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault diagnose</c>: what a person does by hand with !process and !irp, on the kernel memory in a file.</summary>
internal sealed class DiagnoseCommand
{
    private readonly Surroundings _around;
    private readonly Argument<string> _file = new("FILE") { Description = "a kernel dump (MEMORY.DMP), an ELF core of a machine, or a raw image of its memory" };
    private readonly Option<bool> _debugger = new("--kd") { Description = "show each terminated process as a kernel debugger does" };
    private readonly Option<string?> _symbols = new("--symbols") { HelpName = "PATH", Description = "where PDBs are: a symbol path (srv*…, cache*…), a folder, or a .pdb file; else _NT_SYMBOL_PATH" };
    private readonly Option<string?> _format = new("--format") { HelpName = "text|json", Description = "text (default), or one JSON object" };

    public DiagnoseCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("diagnose", "Find processes that were killed and cannot end in the kernel memory of a machine, and the driver that keeps them.") { _file, _symbols, _debugger, _format };
        Command.SetAction(parsed => (int)Diagnose(parsed));
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private ExitCode Diagnose(ParseResult parsed)
    {
        var format = Formats.Parse(parsed.GetValue(_format));
        var path = parsed.GetRequiredValue(_file);
        using var symbols = Symbols(parsed.GetValue(_symbols));
        using var dump = Open(path, symbols);
        var seen = Examination.Of(dump);
        var file = new DiagnosedFile(path, dump.Kind, dump.Build, dump.BugCheck, dump.PhysicalBytes > 0, [.. symbols?.Used.Select(pdb => pdb.ToString()) ?? []], [.. dump.Notes, .. symbols?.Notes ?? []]);
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

    /// <summary>What the user names must be there; the environment's path may be another machine's.</summary>
    private SymbolPath? Symbols(string? said)
    {
        if (said is null) return _around.SymbolPath is { Length: > 0 } usual ? SymbolPath.Parse(usual) : null;
        if (said.Trim().Length == 0) throw new UsageException("--symbols: no path is given");
        if (!said.AsSpan().ContainsAny('*', ';') && !said.Contains("://", StringComparison.Ordinal) && !File.Exists(said) && !Directory.Exists(said))
            throw new UsageException($"--symbols: there is no folder and no file {said}");
        return SymbolPath.Parse(said);
    }

    private static KernelDump Open(string path, SymbolPath? symbols)
    {
        try
        {
            if (Directory.Exists(path)) throw new UsageException($"diagnose: {path} is a folder");
            if (!File.Exists(path)) throw new UsageException($"diagnose: there is no file {path}");
            return KernelDump.Open(path, symbols);
        }
        catch (UnusableDumpException e)
        {
            throw new UsageException($"diagnose: {path} {e.Message}{string.Concat((symbols?.Notes ?? []).Select(note => $"; {note}"))}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UsageException($"diagnose: cannot read '{path}': {Fault.Of(e)}");
        }
    }
}
