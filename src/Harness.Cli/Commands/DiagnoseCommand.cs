using System.CommandLine;
using Harness.Core.Diagnosis;
using Harness.Core.Dumps;
using Harness.Core.Reports;
using Harness.Core.Symbols;
using Harness.Core.Traces;
using Harness.Tracing;

namespace Harness.Cli.Commands;

/// <summary><c>driverfault diagnose</c>: what a person does by hand with !process and !irp on the kernel memory in a file, or with the columns of Windows Performance Analyzer on a trace.</summary>
internal sealed class DiagnoseCommand
{
    private readonly Surroundings _around;
    private readonly Argument<string> _file = new("FILE") { Description = "a kernel dump (MEMORY.DMP), an ELF core of a machine, a raw image of its memory, or an event trace of its kernel (.etl)" };
    private readonly Option<bool> _debugger = new("--kd") { Description = "of kernel memory: show each terminated process as a kernel debugger does" };
    private readonly Option<string?> _symbols = new("--symbols") { HelpName = "PATH", Description = "where PDBs are: a symbol path (srv*…, cache*…), a folder, or a .pdb file; else _NT_SYMBOL_PATH" };
    private readonly Option<string?> _format = new("--format") { HelpName = "text|json", Description = "text (default), or one JSON object" };

    public DiagnoseCommand(Surroundings around)
    {
        _around = around;
        Command = new Command("diagnose", "Find processes that were killed and cannot end in the kernel memory of a machine or in an event trace, and the driver that keeps them.") { _file, _symbols, _debugger, _format };
        Command.SetAction(parsed => (int)Diagnose(parsed));
    }

    /// <summary>For the command line's parser.</summary>
    public Command Command { get; }

    private ExitCode Diagnose(ParseResult parsed)
    {
        var format = Formats.Parse(parsed.GetValue(_format));
        var path = parsed.GetRequiredValue(_file);
        using var symbols = Symbols(parsed.GetValue(_symbols));
        if (OpenTrace(path, out var otherwise) is { } trace)
        {
            using (trace) return Diagnose(path, trace, symbols, parsed);
        }

        using var dump = Open(path, symbols, otherwise);
        var seen = Examination.Of(dump);
        var file = new DiagnosedFile(path, dump.Kind, dump.Build, dump.BugCheck, dump.PhysicalBytes > 0, [.. symbols?.Used.Select(pdb => pdb.ToString()) ?? []], [.. dump.Notes, .. Notes(symbols, parsed)]);
        Write(() =>
        {
            if (format == Format.Json) _around.Out.WriteLine(DiagnosisLine.Of(file, seen));
            else DiagnosisText.Write(_around.Out, file, seen, parsed.GetValue(_debugger), _around.Color);
        });
        return Code(file.Verdict(seen));
    }

    private ExitCode Diagnose(string path, EventTrace trace, SymbolPath? symbols, ParseResult parsed)
    {
        if (parsed.GetValue(_debugger)) throw new UsageException("--kd: an event trace holds no kernel memory");
        var format = Formats.Parse(parsed.GetValue(_format));
        var images = ImageFiles.In(Path.GetDirectoryName(Path.GetFullPath(path)), parsed.GetValue(_symbols) ?? _around.SymbolPath);
        TraceDiagnosis seen;
        try
        {
            seen = TraceAnalysis.Of(trace, symbols, images);
        }
        catch (IOException e)
        {
            throw new UsageException($"diagnose: cannot read '{path}': {Fault.Of(e)}");
        }

        var file = new DiagnosedTrace(path, trace.File.Header, [.. symbols?.Used.Select(pdb => pdb.ToString()) ?? []], [.. Notes(symbols, parsed)]);
        Write(() =>
        {
            if (format == Format.Json) _around.Out.WriteLine(TraceDiagnosisLine.Of(file, seen));
            else TraceDiagnosisText.Write(_around.Out, file, seen, _around.Color);
        });
        return Code(seen.Verdict);
    }

    private void Write(Action write)
    {
        try
        {
            write();
            _around.Out.Flush();
        }
        catch (IOException e)
        {
            throw new UnwritableResultsException($"cannot write to standard output: {Fault.Of(e)}", e);
        }
    }

    private static ExitCode Code(string verdict) => verdict switch { "zombie" => ExitCode.Fail, "none" => ExitCode.Pass, _ => ExitCode.Inconclusive };

    /// <summary>What the user names must be there; the environment's path may be another machine's.</summary>
    private SymbolPath? Symbols(string? said)
    {
        if (said is null) return _around.SymbolPath is { Length: > 0 } usual ? SymbolPath.Parse(usual) : null;
        if (said.Trim().Length == 0) throw new UsageException("--symbols: no path is given");
        if (!said.AsSpan().ContainsAny('*', ';') && !said.Contains("://", StringComparison.Ordinal) && !File.Exists(said) && !Directory.Exists(said))
            throw new UsageException($"--symbols: there is no folder and no file {said}");
        return SymbolPath.Parse(said);
    }

    /// <summary>What is said of the symbols; whoever names one PDB hears when it was no image's.</summary>
    private IEnumerable<string> Notes(SymbolPath? symbols, ParseResult parsed)
    {
        var notes = symbols?.Notes ?? [];
        return symbols is not null && notes.Count == 0 && !symbols.Used.Any() && parsed.GetValue(_symbols) is { } said && File.Exists(said) ? [$"symbols: {said} was not used: no image tells that it is its PDB"] : notes;
    }

    /// <summary>The file as an event trace; null when it is none.</summary>
    /// <param name="path">The file.</param>
    /// <param name="otherwise">Why not, if it is one that cannot be read.</param>
    private static EventTrace? OpenTrace(string path, out string? otherwise)
    {
        otherwise = null;
        try
        {
            var trace = EventTrace.Open(path);
            if (trace.File.Header.IsThere) return trace;
            using (trace) otherwise = trace.File.Events().Next() ? "is an event trace without its header, the first event of its first buffer: its clock is not known; copy it again, whole" : null;
        }
        catch (UnusableTraceException e)
        {
            otherwise = e.IsTrace ? e.Message : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            // Whoever reads it as kernel memory says why it cannot be read.
        }

        return null;
    }

    private static KernelDump Open(string path, SymbolPath? symbols, string? otherwise)
    {
        try
        {
            if (Directory.Exists(path)) throw new UsageException($"diagnose: {path} is a folder");
            if (!File.Exists(path)) throw new UsageException($"diagnose: there is no file {path}");
            return KernelDump.Open(path, symbols);
        }
        catch (UnusableDumpException e)
        {
            throw new UsageException($"diagnose: {path} {otherwise ?? e.Message}{string.Concat((symbols?.Notes ?? []).Select(note => $"; {note}"))}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new UsageException($"diagnose: cannot read '{path}': {Fault.Of(e)}");
        }
    }
}
