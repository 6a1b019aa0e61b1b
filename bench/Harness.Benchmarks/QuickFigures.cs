using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Harness.Benchmarks;

/// <summary>
/// Each figure once, quickly: the best of many measurements as a JSON line on standard output, and beside it the median on standard error.
/// The best, because other programs on the machine only ever add time.
/// </summary>
internal static class QuickFigures
{
    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Write()
    {
        Mix();
        Warm();
        Saved();
        OpenPdb();
        Traces();
        ColdRun.Measure(Tell);
    }

    /// <param name="times">In seconds.</param>
    /// <param name="figure">What a time means in the unit.</param>
    private static void Tell(string name, string unit, IReadOnlyList<double> times, Func<double, double> figure)
    {
        var sorted = times.Order().ToList();
        var (best, median) = (figure(sorted[0]), figure(sorted[sorted.Count / 2]));
        Console.WriteLine(JsonSerializer.Serialize(new { name, value = Math.Round(best, 4), unit }, Readable));
        Console.Error.WriteLine($"{name,-24} best {best,9:F3}  median {median,9:F3}  {unit}  ({sorted.Count} times)");
    }

    // By turns, so that both see the same machine.
    private static void Mix()
    {
        using var mix = new InstructionMix();
        if (mix.HasUnicorn && mix.OnInterpreter() != mix.OnUnicorn()) throw new InvalidOperationException("the interpreter and Unicorn disagree about the mix");
        var (interpreter, unicorn) = (new List<double>(), new List<double>());
        for (var turn = 0; turn < 8; turn++)
        {
            interpreter.Add(Seconds(() => mix.OnInterpreter()));
            if (mix.HasUnicorn) unicorn.Add(Seconds(() => mix.OnUnicorn()));
        }
        double Rate(double seconds) => mix.Instructions / seconds / 1e6;
        Tell("interpreter_mix", "million instructions/s", interpreter, Rate);
        if (mix.HasUnicorn) Tell("unicorn_mix", "million instructions/s", unicorn, Rate);
    }

    private static void Warm()
    {
        const int untilCompiledWell = 1500;
        var run = new WarmRun();
        for (var turn = 0; turn < untilCompiledWell; turn++) run.HangIrp();
        var times = new List<double>();
        for (var turn = 0; turn < 1000; turn++) times.Add(Seconds(() => run.HangIrp()));
        Tell("warm_hang_irp", "ms", times, seconds => seconds * 1e3);
    }

    private static void Saved()
    {
        const int together = 1000;
        var states = new SavedStates();
        // Once to compile, once to measure.
        foreach (var measured in (bool[])[false, true])
        {
            foreach (var pages in (int[])[1, 4, 16])
            {
                states.Pages = pages;
                var times = new List<double>();
                for (var turn = 0; turn < 80; turn++)
                    times.Add(Seconds(() => { for (var i = 0; i < together; i++) states.SaveStoreRestore(); }));
                if (measured) Tell($"save_restore_{pages}_pages", "µs", times, seconds => seconds / together * 1e6);
            }
        }
    }

    private static void OpenPdb()
    {
        using var pdb = new LargePdb();
        var times = new List<double>();
        for (var turn = 0; turn < 60; turn++) times.Add(Seconds(() => pdb.Ask()));
        Tell("open_pdb_15_mb", "ms", times, seconds => seconds * 1e3);
    }

    private static void Traces()
    {
        using var traces = new TraceReading();
        foreach (var (name, read) in ((string, Func<long>)[])[("trace_read", traces.Read), ("trace_inflate", traces.Inflate), ("trace_through_traceevent", traces.ThroughTraceEvent), ("trace_analyse", traces.Analyse), ("trace_analyse_polling", traces.AnalysePolling)])
        {
            long events = 0;
            var times = new List<double>();
            for (var turn = 0; turn < 7; turn++) times.Add(Seconds(() => events = read()));
            Tell(name, "million events/s", times, seconds => events / seconds / 1e6);
        }
    }

    private static double Seconds(Action action)
    {
        var start = Stopwatch.GetTimestamp();
        action();
        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
