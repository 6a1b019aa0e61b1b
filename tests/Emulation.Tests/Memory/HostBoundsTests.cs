using Emulation.Tests.Cpu;
using FluentAssertions;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Emulation.Tests.Memory;

/// <summary>
/// A guest's pages lie in host memory one behind the other, and the interpreter reaches them by pointers. Whatever an instruction does at the edge of a
/// page, it must not touch a host byte that belongs to no byte it may reach.
/// </summary>
public sealed unsafe class HostBoundsTests
{
    // Before and behind a frame: the ends of its neighbours.
    private const int Around = 128;

    private static readonly (string Name, int Size, Action<Assembler> Write)[] Stores =
    [
        ("mov byte", 1, a => a.mov(__byte_ptr[rdi], al)),
        ("mov word", 2, a => a.mov(__word_ptr[rdi], ax)),
        ("mov dword", 4, a => a.mov(__dword_ptr[rdi], eax)),
        ("mov qword", 8, a => a.mov(__qword_ptr[rdi], rax)),
        ("mov imm", 8, a => a.mov(__qword_ptr[rdi], 0x55555555)),
        ("add", 8, a => a.add(__qword_ptr[rdi], rax)),
        ("lock xadd", 8, a => a.@lock.xadd(__qword_ptr[rdi], rax)),
        ("lock cmpxchg", 8, a => { a.mov(rax, 0xA1A1_A1A1_A1A1_A1A1); a.@lock.cmpxchg(__qword_ptr[rdi], rcx); }),
        ("xchg", 4, a => a.xchg(__dword_ptr[rdi], eax)),
        ("bts", 8, a => a.bts(__qword_ptr[rdi], 3)),
        ("shl", 8, a => a.shl(__qword_ptr[rdi], 1)),
        ("stosq", 8, a => a.stosq()),
        ("movsq", 8, a => a.movsq()),
        ("pop", 8, a => a.pop(__qword_ptr[rdi])),
        ("push", 8, a => { a.lea(rsp, __[rdi + 8]); a.push(rax); }),
        ("call", 8, a => { a.lea(rsp, __[rdi + 8]); a.call(rbx); }),
        ("movups", 16, a => a.movups(__xmmword_ptr[rdi], xmm0)),
        ("movdqu", 16, a => a.movdqu(__xmmword_ptr[rdi], xmm0)),
        ("movq", 8, a => a.movq(__qword_ptr[rdi], xmm0)),
        ("movd", 4, a => a.movd(__dword_ptr[rdi], xmm0)),
        ("setc", 1, a => a.setae(__byte_ptr[rdi])),
    ];

    public static TheoryData<string> EveryStore => [.. Stores.Select(store => store.Name)];

    [Theory]
    [MemberData(nameof(EveryStore))]
    public void A_store_at_the_edge_of_a_page_touches_its_own_bytes_or_none(string name)
    {
        var (_, size, write) = Stores.Single(store => store.Name == name);
        for (var offset = -size; offset <= GuestMemory.PageSize; offset = offset == 0 ? GuestMemory.PageSize - size - 1 : offset + 1)
        {
            // Once with the page's translation at hand, once without.
            foreach (var warm in (bool[])[true, false])
            {
                var bench = Arrange(write, Bench.Data + (ulong)offset, warm, out var frame);
                var before = Copy(frame);

                var exit = Run(bench);

                var fits = offset >= 0 && offset + size <= GuestMemory.PageSize;
                if (!fits) exit.Should().Be(CpuExitKind.PageFault, $"{name} at {offset}");
                else exit.Should().NotBe(CpuExitKind.PageFault, $"{name} at {offset}");
                var changed = Changed(before, Copy(frame));
                if (!fits) changed.Should().BeEmpty($"{name} at {offset} was refused");
                else changed.Should().NotBeEmpty($"{name} at {offset}").And.OnlyContain(at => at >= offset && at < offset + size);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    public void A_repeated_store_ends_at_the_end_of_the_page(int width)
    {
        var bench = Arrange(a => { if (width == 1) a.rep.stosb(); else a.rep.stosq(); }, Bench.Data + 0x800, warm: true, out var frame);
        bench.State.Rcx = ulong.MaxValue;
        var before = Copy(frame);

        Run(bench).Should().Be(CpuExitKind.PageFault);

        Changed(before, Copy(frame)).Should().Equal(Enumerable.Range(0x800, 0x800));
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(0x0000_7FFF_FFFF_FFF8UL)]
    [InlineData(0x0000_8000_0000_0000UL)]
    [InlineData(0x8000_0000_0000_0000UL)]
    [InlineData(0xFFFF_7FFF_FFFF_FFFCUL)]
    [InlineData(0xFFFF_FFFF_FFFF_FFF9UL)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFFUL)]
    [InlineData(Bench.Data ^ (1UL << 20))]
    [InlineData(Bench.Data ^ (1UL << 46))]
    public void An_address_that_is_nobody_s_is_refused_with_nothing_touched(ulong address)
    {
        foreach (var (name, _, write) in Stores)
        {
            var bench = Arrange(write, address, warm: true, out var frame);
            var before = Copy(frame);

            Run(bench).Should().BeOneOf([CpuExitKind.PageFault, CpuExitKind.GeneralProtection], name);

            Changed(before, Copy(frame)).Should().BeEmpty(name);
        }
    }

    [Fact]
    public void A_bit_offset_reaches_as_far_as_any_other_address_and_no_farther()
    {
        foreach (var bits in (long[])[-1, -8 * GuestMemory.PageSize, 8 * GuestMemory.PageSize, long.MinValue, long.MaxValue])
        {
            var bench = Arrange(a => a.bts(__qword_ptr[rdi], rax), Bench.Data, warm: true, out var frame);
            bench.State.Rax = (ulong)bits;
            var before = Copy(frame);

            Run(bench).Should().BeOneOf(CpuExitKind.PageFault, CpuExitKind.GeneralProtection);

            Changed(before, Copy(frame)).Should().BeEmpty($"bit {bits}");
        }
    }

    // One page of data whose neighbours in the guest are absent; in the host they are code before it and a stack behind it.
    private static Bench Arrange(Action<Assembler> write, ulong rdi, bool warm, out byte* frame)
    {
        var bench = Bench.With(a =>
        {
            write(a);
            a.nop();
            a.nop();
        }, dataPages: 1);
        bench.Memory.Fill(Bench.Data, GuestMemory.PageSize, 0xA1);
        _ = bench.Memory.ReadU8(Bench.Data);
        var entry = TranslationBuffer.EntryOf(bench.Memory.Translations, Bench.Data);
        frame = (byte*)(entry->Addend + unchecked((nint)Bench.Data));
        if (!warm) bench.Memory.Protect(Bench.Data, GuestMemory.PageSize, PageAccess.Read | PageAccess.Write);
        ref var state = ref bench.State;
        (state.Rdi, state.Rsi, state.Rax, state.Rcx, state.Rbx) = (rdi, Bench.StackTop - 0x4000, 0x1122_3344_5566_7788, 0x99, Bench.Nt);
        return bench;
    }

    private static CpuExitKind Run(Bench bench) => bench.Cpu.Run(3).Kind;

    private static byte[] Copy(byte* frame) => new ReadOnlySpan<byte>(frame - Around, Around + PageFrames.FrameLength + Around).ToArray();

    private static List<int> Changed(byte[] before, byte[] after) => [.. Enumerable.Range(0, before.Length).Where(i => before[i] != after[i]).Select(i => i - Around)];
}
