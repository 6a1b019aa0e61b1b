using System.Globalization;
using System.Text;
using FluentAssertions;
using Harness.Emulation.Cpu;
using HostProcessor;
using Iced.Intel;
using Xunit;

namespace Emulation.Tests.Cpu;

/// <summary>The interpreter against the processor of the machine the tests run on.</summary>
public unsafe class DifferentialTests
{
    // A long run: this many trials; another seed; write what the host said to a case table.
    private const string MoreTrials = "DRIVERFAULT_CPU_TRIALS";
    private const string OtherSeed = "DRIVERFAULT_CPU_SEED";
    private const string Record = "DRIVERFAULT_CPU_RECORD";

    [Fact]
    public void The_interpreter_and_the_host_processor_agree_on_random_instructions()
    {
        if (HostOracle.Lacks is { } lack) Assert.Skip(lack);
        var count = int.Parse(Environment.GetEnvironmentVariable(MoreTrials) ?? "20000", CultureInfo.InvariantCulture);
        var seed = ulong.Parse(Environment.GetEnvironmentVariable(OtherSeed) ?? "1", CultureInfo.InvariantCulture);
        var generator = new TrialGenerator(seed);
        var interpreted = new Interpreted();
        var disagreements = new Dictionary<string, (int Count, string First)>();
        var codes = new HashSet<Code>();
        var recorded = new List<(Trial, Instruction)>();
        const int batch = 20000;
        for (var done = 0; done < count; done += batch)
        {
            var trials = new Trial[Math.Min(batch, count - done)];
            var instructions = new Instruction[trials.Length];
            for (var i = 0; i < trials.Length;)
            {
                if (generator.TryNext(out trials[i], out instructions[i])) i++;
            }
            var outcomes = HostOracle.Ask(trials);
            for (var i = 0; i < trials.Length; i++)
            {
                codes.Add(instructions[i].Code);
                if (Environment.GetEnvironmentVariable(Record) is not null) recorded.Add((trials[i], instructions[i]));
                var mine = default(Outcome);
                var exit = interpreted.Run(trials[i], ref mine);
                if (Difference(instructions[i], outcomes[i], mine, exit) is not { } difference) continue;
                var key = instructions[i].Code.ToString();
                disagreements[key] = disagreements.TryGetValue(key, out var known)
                    ? (known.Count + 1, known.First)
                    : (1, Describe(trials[i], instructions[i]) + difference);
            }
        }
        if (Environment.GetEnvironmentVariable(Record) is { } path) Recorder.Write(path, recorded);
        TestContext.Current.TestOutputHelper?.WriteLine($"{count} trials, {codes.Count} encodings");
        disagreements.Select(pair => $"{pair.Key} ({pair.Value.Count} times): {pair.Value.First}").Should().BeEmpty();
        codes.Count.Should().BeGreaterThan(500, "the trials should cover what the interpreter models");
    }

    private static string? Difference(in Instruction i, in Outcome host, in Outcome mine, CpuExit exit)
    {
        // The kernel tells #GP and page faults by one signal or another.
        var hostSignal = host.Signal == 7 ? 11 : host.Signal;
        if (hostSignal != mine.Signal) return $"host: signal {host.Signal}; interpreter: {exit.Kind} {exit.Text}";
        if (hostSignal != 0) return null;
        if (host.Branched != mine.Branched) return $"host: {(host.Branched == 1 ? "branched" : "went on")}; interpreter: {mine.Branched}";
        var text = new StringBuilder();
        fixed (Picture* h = &host.After)
        fixed (Picture* m = &mine.After)
        {
            for (var r = 0; r < 16; r++)
                if (h->Registers[r] != m->Registers[r]) text.Append(CultureInfo.InvariantCulture, $"\n   {Register.RAX + r}: host {h->Registers[r]:x16}, interpreter {m->Registers[r]:x16}");
            var mask = 0xCD5UL & ~UndefinedFlags(i);
            if ((h->Flags & mask) != (m->Flags & mask)) text.Append(CultureInfo.InvariantCulture, $"\n   flags: host {h->Flags & mask:x}, interpreter {m->Flags & mask:x}");
            for (var x = 0; x < 32; x++)
                if (((ulong*)h->Xmm)[x] != ((ulong*)m->Xmm)[x]) text.Append(CultureInfo.InvariantCulture, $"\n   xmm{x / 2}[{x % 2}]: host {((ulong*)h->Xmm)[x]:x16}, interpreter {((ulong*)m->Xmm)[x]:x16}");
            for (var b = 0; b < Picture.WindowSize; b++)
                if (h->Memory[b] != m->Memory[b]) text.Append(CultureInfo.InvariantCulture, $"\n   memory +{b}: host {h->Memory[b]:x2}, interpreter {m->Memory[b]:x2}");
        }
        return text.Length == 0 ? null : text.ToString();
    }

    internal static ulong UndefinedFlags(in Instruction i)
    {
        var undefined = i.RflagsUndefined;
        return ((undefined & RflagsBits.CF) != 0 ? 1UL : 0) | ((undefined & RflagsBits.PF) != 0 ? 4UL : 0) | ((undefined & RflagsBits.AF) != 0 ? 0x10UL : 0)
            | ((undefined & RflagsBits.ZF) != 0 ? 0x40UL : 0) | ((undefined & RflagsBits.SF) != 0 ? 0x80UL : 0) | ((undefined & RflagsBits.OF) != 0 ? 0x800UL : 0);
    }

    private static string Describe(in Trial trial, in Instruction instruction)
    {
        fixed (byte* code = trial.Code)
        fixed (Picture* before = &trial.Before)
        {
            var text = new StringBuilder($"{Convert.ToHexString(new ReadOnlySpan<byte>(code, trial.Length))} {instruction}\n   before: flags {before->Flags:x}");
            for (var r = 0; r < 16; r++) text.Append(CultureInfo.InvariantCulture, $" {Register.RAX + r}={before->Registers[r]:x}");
            foreach (var register in (Register[])[instruction.Op0Register, instruction.Op1Register])
            {
                if (!register.IsXMM()) continue;
                var x = (ulong*)before->Xmm + (2 * register.GetNumber());
                text.Append(CultureInfo.InvariantCulture, $" {register}={x[1]:x16}{x[0]:x16}");
            }
            return text.Append("\n   ").ToString();
        }
    }
}
