using System.Globalization;
using System.Text;
using Iced.Intel;

namespace HostProcessor;

/// <summary>What was tried of one mnemonic.</summary>
/// <param name="Encodings">Iced's codes among the trials.</param>
internal sealed record MnemonicCount(HashSet<Code> Encodings)
{
    public int Trials { get; set; }

    /// <summary>Trials that ended with an exception on the host.</summary>
    public int Exceptions { get; set; }

    public int Unequal { get; set; }
}

/// <summary>Executes trials, for comparison with the host.</summary>
internal delegate void TrialRunner(in Trial trial, ref Outcome outcome);

/// <summary>
/// The interpreter against the processor of this machine: registers, xmm registers, the flags the architecture defines, memory, where it went on,
/// and of exceptions vector, error code and address.
/// </summary>
internal sealed unsafe class Comparison
{
    private const int Batch = 25000;
    private const int SampleOfEncoding = 8;

    private readonly TrialGenerator _generator;
    private readonly TrialRunner _run;
    private readonly Dictionary<Code, int> _sampled = [];

    public Comparison(ulong seed)
        : this(seed, new Interpreted().Run)
    {
    }

    /// <param name="seed">What the trials follow from.</param>
    /// <param name="run">What is compared with the host.</param>
    public Comparison(ulong seed, TrialRunner run)
    {
        Seed = seed;
        _generator = new TrialGenerator(seed);
        _run = run;
    }

    public ulong Seed { get; }

    public int Trials { get; private set; }

    public SortedDictionary<string, MnemonicCount> Mnemonics { get; } = new(StringComparer.Ordinal);

    /// <summary>Trials that ended with an exception on the host, by vector.</summary>
    public SortedDictionary<int, int> Exceptions { get; } = [];

    /// <summary>By encoding: how many, and the first in words.</summary>
    public SortedDictionary<string, (int Count, string First)> Disagreements { get; } = new(StringComparer.Ordinal);

    /// <summary>Some trials of each encoding.</summary>
    public List<(Trial Trial, Instruction Instruction)> Sample { get; } = [];

    public void Run(int count)
    {
        for (var done = 0; done < count; done += Batch)
        {
            var trials = new Trial[Math.Min(Batch, count - done)];
            var instructions = new Instruction[trials.Length];
            for (var i = 0; i < trials.Length;)
                if (_generator.TryNext(out trials[i], out instructions[i])) i++;
            var outcomes = HostOracle.Ask(trials);
            for (var i = 0; i < trials.Length; i++) Compare(trials[i], instructions[i], outcomes[i]);
        }
    }

    /// <summary>The flags, as RFLAGS has them, that the architecture leaves undefined after an instruction.</summary>
    public static ulong UndefinedFlags(in Instruction i)
    {
        var undefined = i.RflagsUndefined;
        return ((undefined & RflagsBits.CF) != 0 ? 1UL : 0) | ((undefined & RflagsBits.PF) != 0 ? 4UL : 0) | ((undefined & RflagsBits.AF) != 0 ? 0x10UL : 0)
            | ((undefined & RflagsBits.ZF) != 0 ? 0x40UL : 0) | ((undefined & RflagsBits.SF) != 0 ? 0x80UL : 0) | ((undefined & RflagsBits.OF) != 0 ? 0x800UL : 0);
    }

    private void Compare(in Trial trial, in Instruction instruction, in Outcome host)
    {
        Trials++;
        var mnemonic = instruction.Mnemonic.ToString().ToLowerInvariant();
        if (!Mnemonics.TryGetValue(mnemonic, out var count)) Mnemonics.Add(mnemonic, count = new MnemonicCount([]));
        count.Trials++;
        count.Encodings.Add(instruction.Code);
        var sampled = _sampled.GetValueOrDefault(instruction.Code);
        if (sampled < SampleOfEncoding)
        {
            _sampled[instruction.Code] = sampled + 1;
            Sample.Add((trial, instruction));
        }
        if (host.Trap != Outcome.NoTrap)
        {
            count.Exceptions++;
            Exceptions[host.Trap] = Exceptions.GetValueOrDefault(host.Trap) + 1;
        }

        var mine = default(Outcome);
        _run(trial, ref mine);
        if (Difference(instruction, host, mine) is not { } difference) return;
        count.Unequal++;
        var key = instruction.Code.ToString();
        Disagreements[key] = Disagreements.TryGetValue(key, out var known) ? (known.Count + 1, known.First) : (1, Describe(trial, instruction) + difference);
    }

    private static string? Difference(in Instruction i, in Outcome host, in Outcome mine)
    {
        // #SS is what #GP is called when the address comes from rsp or rbp; the interpreter has one exit for both.
        var hostTrap = host.Trap == 12 ? 13 : host.Trap;
        if (hostTrap != mine.Trap) return $"\n   host: {TrapName(host.Trap)}; interpreter: {TrapName(mine.Trap)}";
        if (host.Branched != mine.Branched) return $"\n   host: {(host.Branched == 1 ? "branched" : "went on")}; interpreter: {mine.Branched}";
        if (host.FaultAddress != mine.FaultAddress || host.ErrorCode != mine.ErrorCode)
            return $"\n   page fault: host {host.ErrorCode:x} at {host.FaultAddress:x}, interpreter {mine.ErrorCode:x} at {mine.FaultAddress:x}";
        var text = new StringBuilder();
        fixed (Picture* h = &host.After)
        fixed (Picture* m = &mine.After)
        {
            for (var r = 0; r < 16; r++)
                if (h->Registers[r] != m->Registers[r]) text.Append(CultureInfo.InvariantCulture, $"\n   {Register.RAX + r}: host {h->Registers[r]:x16}, interpreter {m->Registers[r]:x16}");
            var mask = 0xCD5UL & ~(hostTrap == Outcome.NoTrap ? UndefinedFlags(i) : 0);
            if ((h->Flags & mask) != (m->Flags & mask)) text.Append(CultureInfo.InvariantCulture, $"\n   flags: host {h->Flags & mask:x}, interpreter {m->Flags & mask:x}");
            for (var x = 0; x < 32; x++)
                if (((ulong*)h->Xmm)[x] != ((ulong*)m->Xmm)[x]) text.Append(CultureInfo.InvariantCulture, $"\n   xmm{x / 2}[{x % 2}]: host {((ulong*)h->Xmm)[x]:x16}, interpreter {((ulong*)m->Xmm)[x]:x16}");
            for (var b = 0; b < Picture.WindowSize; b++)
                if (h->Memory[b] != m->Memory[b]) text.Append(CultureInfo.InvariantCulture, $"\n   memory +{b}: host {h->Memory[b]:x2}, interpreter {m->Memory[b]:x2}");
        }
        if (text.Length > 0 && host.Trap != Outcome.NoTrap) text.Insert(0, $"\n   after {TrapName(host.Trap)}:");
        return text.Length == 0 ? null : text.ToString();
    }

    /// <summary>#DE, #UD, … by vector.</summary>
    public static string TrapName(int trap) => trap switch
    {
        Outcome.NoTrap => "no exception",
        0 => "#DE",
        6 => "#UD",
        12 => "#SS",
        13 => "#GP",
        14 => "#PF",
        _ => $"exception {trap}",
    };

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
            return text.ToString();
        }
    }
}
