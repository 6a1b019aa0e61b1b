using System.Globalization;
using System.Runtime.InteropServices;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;
using HostProcessor;

namespace Emulation.Tests.Cpu;

/// <summary>
/// One line of a case table: "what it is | code | before | after". Before and after are lists of name=hex: a register, flags=value or
/// flags=value/mask (arithmetic flags and DF), xmm0=32 digits with the highest byte first, [address]=bytes, exit=kind, detail=…. What
/// before doesn't name is zero (memory and flags, too); what after doesn't name must be as before. Rip goes to the next instruction
/// unless after says another place or an exit that comes before it. 64 KiB of data are at 10000000 and a page of zeros
/// that can't be written behind them, the code is at 20000000.
/// </summary>
internal sealed class CaseLine
{
    private static readonly string[] General =
        ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"];

    private readonly string[] _columns;

    public CaseLine(string line) => _columns = [.. line.Split('|').Select(column => column.Trim())];

    public string Name => _columns[0];

    public static IEnumerable<string> LinesOf(string file) =>
        File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Cases", file)).Where(line => line.Length > 0 && line[0] != '#');

    /// <summary>What differs from the table; empty when nothing does.</summary>
    public IReadOnlyList<string> Check()
    {
        var code = Convert.FromHexString(_columns[1]);
        var memory = new GuestMemory();
        memory.Map(Picture.DataRegion, Picture.DataSize, PageAccess.Read | PageAccess.Write);
        memory.Map(Picture.ReadOnlyRegion, GuestMemory.PageSize, PageAccess.Read);
        memory.Map(Trial.CodeRegion, GuestMemory.PageSize, PageAccess.Read | PageAccess.Execute);
        memory.Write(Trial.CodeRegion, code);
        var cpu = new Harness.Emulation.Cpu.Cpu(memory);
        cpu.State.Rip = Trial.CodeRegion;
        foreach (var (name, value) in Pairs(_columns[2])) Set(ref cpu.State, memory, name, value);

        var expected = cpu.State;
        var expectedMemory = new GuestMemory();
        expectedMemory.Map(Picture.DataRegion, Picture.DataSize, PageAccess.Read | PageAccess.Write);
        expectedMemory.Write(Picture.DataRegion, Bytes(memory));
        var exit = Run(cpu);
        return Compare(cpu, memory, exit, expected, expectedMemory, code.Length);
    }

    private static CpuExit Run(Harness.Emulation.Cpu.Cpu cpu)
    {
        CpuExit exit;
        var steps = 0;
        do exit = cpu.Run(1);
        while (exit.Kind == CpuExitKind.Budget && cpu.State.Rip == Trial.CodeRegion && ++steps < 100);
        return exit;
    }

    private static IEnumerable<(string Name, string Value)> Pairs(string column) =>
        column.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(pair => (pair[..pair.IndexOf('=')], pair[(pair.IndexOf('=') + 1)..]));

    private static ulong Number(string hex) => ulong.Parse(hex, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static byte[] Bytes(GuestMemory memory)
    {
        var bytes = new byte[Picture.DataSize];
        memory.Read(Picture.DataRegion, bytes);
        return bytes;
    }

    private static void Set(ref CpuState state, GuestMemory memory, string name, string value)
    {
        if (name[0] == '[')
        {
            memory.Write(Number(name[1..^1]), Convert.FromHexString(value));
        }
        else if (name.StartsWith("xmm", StringComparison.Ordinal))
        {
            var bytes = Convert.FromHexString(value);
            Array.Reverse(bytes);
            bytes.CopyTo(MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref state.Xmm0, 16))[(16 * int.Parse(name[3..], CultureInfo.InvariantCulture))..]);
        }
        else
        {
            Place(ref state, name) = Number(value) | (name == "flags" ? 2UL : 0);
        }
    }

    private static ref ulong Place(ref CpuState state, string name)
    {
        var general = Array.IndexOf(General, name);
        if (general >= 0) return ref MemoryMarshal.CreateSpan(ref state.Rax, 16)[general];
        switch (name)
        {
            case "flags": return ref state.Rflags;
            case "rip": return ref state.Rip;
            case "gsbase": return ref state.GsBase;
            case "fsbase": return ref state.FsBase;
            case "kernelgsbase": return ref state.KernelGsBase;
            case "cr0": return ref state.Cr0;
            case "cr2": return ref state.Cr2;
            case "cr3": return ref state.Cr3;
            case "cr4": return ref state.Cr4;
            case "cr8": return ref state.Cr8;
            case "tsc": return ref state.Tsc;
            case "tscaux": return ref state.TscAux;
            case "mxcsr": return ref MemoryMarshal.Cast<uint, ulong>(MemoryMarshal.CreateSpan(ref state.MxCsr, 2))[0];
            default: throw new FormatException($"a case table has no '{name}'");
        }
    }

    private List<string> Compare(Harness.Emulation.Cpu.Cpu cpu, GuestMemory memory, CpuExit exit, CpuState expected, GuestMemory expectedMemory, int length)
    {
        var differences = new List<string>();
        var kind = CpuExitKind.Budget;
        ulong? address = null, detail = null;
        var mask = ulong.MaxValue;
        var ripGiven = false;
        foreach (var (name, value) in Pairs(_columns[3]))
        {
            if (name == "exit") kind = Enum.Parse<CpuExitKind>(value);
            else if (name == "address") address = Number(value);
            else if (name == "detail") detail = Number(value);
            else if (name == "flags" && value.Split('/') is [var flags, var defined])
            {
                mask = Number(defined);
                expected.Rflags = Number(flags) | 2;
            }
            else
            {
                ripGiven |= name == "rip";
                Set(ref expected, expectedMemory, name, value);
            }
        }
        var happened = kind is CpuExitKind.Budget or CpuExitKind.Cr8Written or CpuExitKind.InterruptsEnabled or CpuExitKind.Halt;
        if (!ripGiven && happened) expected.Rip += (ulong)length;

        if (exit.Kind != kind) differences.Add($"ended with {exit}");
        if (address is not null && exit.Address != address) differences.Add($"address {exit.Address:x}");
        if (detail is not null && exit.Detail != detail) differences.Add($"detail {exit.Detail:x}");
        CompareStates(differences, cpu.State, expected, mask);
        var (actualBytes, expectedBytes) = (Bytes(memory), Bytes(expectedMemory));
        for (var i = 0; i < actualBytes.Length; i++)
            if (actualBytes[i] != expectedBytes[i]) differences.Add($"[{Picture.DataRegion + (ulong)i:x}] is {actualBytes[i]:x2}, not {expectedBytes[i]:x2}");
        return differences;
    }

    private static void CompareStates(List<string> differences, CpuState actual, CpuState expected, ulong mask)
    {
        foreach (var name in General.Concat(["rip", "gsbase", "fsbase", "kernelgsbase", "cr0", "cr2", "cr3", "cr4", "cr8", "tsc", "tscaux", "mxcsr"]))
            if (Place(ref actual, name) != Place(ref expected, name)) differences.Add($"{name} is {Place(ref actual, name):x}, not {Place(ref expected, name):x}");
        if (((actual.Rflags ^ expected.Rflags) & mask) != 0) differences.Add($"flags are {actual.Rflags & mask:x}, not {expected.Rflags & mask:x}");
        for (var i = 0; i < 16; i++)
        {
            var (a, e) = (MemoryMarshal.CreateSpan(ref actual.Xmm0, 16)[i], MemoryMarshal.CreateSpan(ref expected.Xmm0, 16)[i]);
            if (a != e) differences.Add($"xmm{i} is {a}, not {e}");
        }
    }
}
