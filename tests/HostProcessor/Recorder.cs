using System.Globalization;
using System.Text;
using Iced.Intel;

namespace HostProcessor;

/// <summary>Writes the host processor's answers as a case table, for machines that have no such processor.</summary>
internal static unsafe class Recorder
{
    private const int EachEncoding = 2;

    /// <summary>Reduces trials to what their instructions look at, asks the host again, and writes up to two lines for each encoding.</summary>
    public static void Write(string path, IEnumerable<(Trial Trial, Instruction Instruction)> trials)
    {
        var chosen = trials.GroupBy(pair => pair.Instruction.Code)
            .OrderBy(group => group.Key.ToString(), StringComparer.Ordinal)
            .SelectMany(group => group.Take(EachEncoding * 4).Select(pair => (Trial: Reduced(pair.Trial, pair.Instruction), pair.Instruction)))
            .ToList();
        var outcomes = HostOracle.Ask(chosen.Select(pair => pair.Trial).ToArray());
        var written = new Dictionary<Code, int>();
        using var file = new StreamWriter(path) { NewLine = "\n" };
        for (var i = 0; i < outcomes.Length; i++)
        {
            var (trial, instruction) = chosen[i];
            var count = written.GetValueOrDefault(instruction.Code);
            if (outcomes[i].Trap != Outcome.NoTrap || count == EachEncoding) continue;
            written[instruction.Code] = count + 1;
            file.WriteLine(Line(trial, outcomes[i], instruction));
        }
    }

    private static Trial Reduced(Trial trial, in Instruction instruction)
    {
        var info = new InstructionInfoFactory().GetInfo(instruction);
        var result = trial;
        var general = info.GetUsedRegisters().Where(used => used.Register.IsGPR()).Select(used => used.Register.GetFullRegister() - Register.RAX).ToHashSet();
        var vectors = info.GetUsedRegisters().Where(used => used.Register.IsXMM()).Select(used => used.Register - Register.XMM0).ToHashSet();
        for (var i = 0; i < 16; i++)
        {
            if (!general.Contains(i)) result.Before.Registers[i] = 0;
            if (!vectors.Contains(i)) new Span<byte>(result.Before.Xmm + (16 * i), 16).Clear();
        }

        // rsp as the address of memory is not always named.
        result.Before.Registers[4] = trial.Before.Registers[4];
        new Span<byte>(result.Before.Memory, Picture.WindowSize).Clear();
        var registers = new ReadOnlySpan<ulong>(trial.Before.Registers, 16).ToArray();
        foreach (var memory in info.GetUsedMemory())
        {
            if (!memory.TryGetVirtualAddress(0, out var address, (Register register, int _, int _, out ulong value) => TryRead(registers, register, out value))) continue;
            var offset = (long)(address - Picture.Window);
            for (var at = Math.Max(0, offset); at < offset + 32 && at < Picture.WindowSize; at++) result.Before.Memory[at] = trial.Before.Memory[at];
        }
        return result;
    }

    private static bool TryRead(ulong[] registers, Register register, out ulong value)
    {
        value = register.IsGPR() ? registers[register.GetFullRegister() - Register.RAX] : 0;
        if (register.IsGPR32()) value = (uint)value;
        return true;
    }

    private static string Line(in Trial trial, in Outcome outcome, in Instruction instruction)
    {
        var text = new StringBuilder($"{instruction} | ");
        fixed (byte* code = trial.Code) text.Append(Convert.ToHexString(new ReadOnlySpan<byte>(code, trial.Length)));
        fixed (Picture* before = &trial.Before)
        fixed (Picture* after = &outcome.After)
        {
            text.Append(" |");
            var nothing = default(Picture);
            Differences(text, &nothing, before);
            text.Append(CultureInfo.InvariantCulture, $" flags={before->Flags:x} |");
            Differences(text, before, after);
            if (outcome.Branched != 0) text.Append(CultureInfo.InvariantCulture, $" rip={Trial.BranchTarget:x}");
            var mask = 0xCD5UL & ~Comparison.UndefinedFlags(instruction);
            text.Append(CultureInfo.InvariantCulture, $" flags={after->Flags & mask:x}/{mask:x}");
        }
        return text.ToString();
    }

    private static void Differences(StringBuilder text, Picture* from, Picture* to)
    {
        for (var i = 0; i < 16; i++)
            if (from->Registers[i] != to->Registers[i]) text.Append(CultureInfo.InvariantCulture, $" {(Register.RAX + i).ToString().ToLowerInvariant()}={to->Registers[i]:x}");
        for (var i = 0; i < 16; i++)
        {
            var f = (ulong*)(from->Xmm + (16 * i));
            var t = (ulong*)(to->Xmm + (16 * i));
            if (f[0] != t[0] || f[1] != t[1]) text.Append(CultureInfo.InvariantCulture, $" xmm{i}={t[1]:x16}{t[0]:x16}");
        }
        for (var at = 0; at < Picture.WindowSize;)
        {
            var end = at;
            while (end < Picture.WindowSize && from->Memory[end] != to->Memory[end]) end++;
            if (end > at) text.Append(CultureInfo.InvariantCulture, $" [{Picture.Window + (ulong)at:x}]={Convert.ToHexString(new ReadOnlySpan<byte>(to->Memory + at, end - at))}");
            at = end + 1;
        }
    }
}
