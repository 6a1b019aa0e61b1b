using System.Runtime.InteropServices;
using FluentAssertions;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;
using Xunit;

namespace Emulation.Tests.Cpu;

/// <summary>Whole functions, as compilers make them, on the interpreter and on Unicorn: equal registers and memory.</summary>
public class UnicornTests
{
    private const ulong A = Bench.Data;
    private const ulong B = Bench.Data + 0x4000;

    private static readonly ulong[] Numbers = [0, 1, 7, 64, 0x7FFF, 0x8000_0000, 0xFFFF_FFFF, 0x1234_5678_9ABC_DEF0, 0x8000_0000_0000_0000, ulong.MaxValue];

    /// <summary>Functions of a buffer, its second argument another or a count.</summary>
    private static readonly (string Name, ulong[] Arguments)[] OfMemory =
    [
        ("memcpy", [B + 3, A + 5, 5000]), ("memmove", [A + 20, A + 3, 4096]), ("memset", [A, 0x1A5, 4097]), ("memcmp", [A, A + 1, 100]),
        ("Crc32", [A, 1000]), ("Fnv1a", [A, 1000]), ("Sums", [A, 1000]), ("DotProduct", [A, B, 500]), ("AddBytes", [A, B, 1001]), ("Average", [A, B, 1001]),
        ("QuickSort", [A, 0, 999]), ("ToHex", [A, 0xFEDC_BA98_7654_3210]), ("CompareWide", [A, B]), ("StructCopies", [A, 0x1_0000_0007]),
        ("Lists", [64]), ("Recursion", [15]), ("Interlocked", [50]), ("CompareExchange128", [10, 20]), ("Doubles", [123456789, 1000]), ("ThroughPointers", [2, 5, 7]),
    ];

    private static readonly string[] OfTwoNumbers =
        ["MultiplyHigh", "MultiplyHighSigned", "AddWide", "ShiftWide", "Rotate", "CountBits", "ByteSwap", "Bitfields", "SwitchTable", "Many", "DivideBy10", "RemainderBy7"];

    public static TheoryData<string> Builds => RealCodeTests.Builds;

    [Theory]
    [MemberData(nameof(Builds))]
    public void The_interpreter_and_Unicorn_agree_on_whole_functions(string build)
    {
        if (Unicorn.Lacks is { } lack) Assert.Skip(lack);
        var (bench, at) = RealCodeTests.Load(build);
        var bytes = RealCodeTests.Bytes(7, 8 * GuestMemory.PageSize);
        bench.Memory.Write(A, bytes);
        using var unicorn = new Unicorn(bench.Memory);
        var different = new List<string>();
        foreach (var (name, arguments) in OfMemory) Compare(name, arguments);
        // Unicorn 2.0 takes popcnt for an invalid instruction, whatever model it is told to be.
        foreach (var name in OfTwoNumbers.Where(name => build != "gcc-O3" || name != "CountBits"))
            foreach (var a in Numbers)
                foreach (var b in Numbers) Compare(name, [a, b, ~b, a >> 1]);
        different.Should().BeEmpty();

        void Compare(string name, ulong[] arguments)
        {
            var before = bench.Prepare(at[name], arguments);
            unicorn.Write(before.Rsp, BitConverter.GetBytes(Bench.Nt));
            bench.Finish();
            var after = before;
            unicorn.Run(ref after, Bench.Nt);
            different.AddRange(Differences(bench, unicorn, after).Select(difference => $"{name}({string.Join(", ", arguments.Select(argument => argument.ToString("x")))}): {difference}"));
        }
    }

    private static IEnumerable<string> Differences(Bench bench, Unicorn unicorn, CpuState other)
    {
        for (var i = 0; i < 16; i++)
        {
            var (mine, its) = (MemoryMarshal.CreateSpan(ref bench.State.Rax, 16)[i], MemoryMarshal.CreateSpan(ref other.Rax, 16)[i]);
            if (mine != its) yield return $"register {i} is {mine:x}, Unicorn's {its:x}";
            var (myXmm, itsXmm) = (MemoryMarshal.CreateSpan(ref bench.State.Xmm0, 16)[i], MemoryMarshal.CreateSpan(ref other.Xmm0, 16)[i]);
            if (myXmm != itsXmm) yield return $"xmm{i} is {myXmm}, Unicorn's {itsXmm}";
        }
        var (here, there) = (new byte[GuestMemory.PageSize], new byte[GuestMemory.PageSize]);
        foreach (var page in bench.Memory.Pages)
        {
            bench.Memory.Read(page.Address, here);
            unicorn.Read(page.Address, there);
            var first = here.AsSpan().CommonPrefixLength(there);
            if (first < here.Length) yield return $"[{page.Address + (ulong)first:x}] is {here[first]:x2}, Unicorn's {there[first]:x2}";
        }
    }
}
