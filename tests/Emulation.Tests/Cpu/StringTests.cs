using FluentAssertions;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Emulation.Tests.Cpu;

/// <summary>Repeated string instructions over pages, faults and budgets; single elements are in the differential test.</summary>
public class StringTests
{
    private const ulong Page = GuestMemory.PageSize;

    [Theory]
    [InlineData(0, 0x5000, 9000, 1)]
    [InlineData(5, 0x4FFB, 9001, 1)]
    [InlineData(3, 0x5001, 8 * 1000, 8)]
    [InlineData(0x5003, 7, 4 * 2047, 4)]
    [InlineData(16, 0, 9000, 1)]
    [InlineData(0, 16, 9000, 1)]
    [InlineData(0, 3, 4096, 1)]
    [InlineData(1, 0, 2 * 4000, 2)]
    public void Rep_movs_moves_what_a_loop_of_single_moves_would(int from, int to, int bytes, int width)
    {
        var bench = Bench.With(a =>
        {
            switch (width)
            {
                case 1: a.rep.movsb(); break;
                case 2: a.rep.movsw(); break;
                case 4: a.rep.movsd(); break;
                default: a.rep.movsq(); break;
            }
            a.ret();
        }, dataPages: 16);
        var expected = new byte[16 * Page];
        for (var i = 0; i < expected.Length; i++) expected[i] = (byte)((i * 31) ^ (i >> 8));
        bench.Memory.Write(Bench.Data, expected);
        for (var at = 0; at < bytes; at += width)
            expected.AsSpan(from + at, width).ToArray().CopyTo(expected, to + at);

        bench.State.Rsi = Bench.Data + (ulong)from;
        bench.State.Rdi = Bench.Data + (ulong)to;
        bench.State.Rcx = (ulong)(bytes / width);
        bench.Cpu.Run(100000).Kind.Should().Be(CpuExitKind.Slot);

        var actual = new byte[expected.Length];
        bench.Memory.Read(Bench.Data, actual);
        actual.AsSpan().SequenceEqual(expected).Should().BeTrue();
        bench.State.Rcx.Should().Be(0);
        bench.State.Rsi.Should().Be(Bench.Data + (ulong)(from + bytes));
        bench.State.Rdi.Should().Be(Bench.Data + (ulong)(to + bytes));
    }

    [Fact]
    public void With_the_direction_flag_they_go_down()
    {
        var bench = Bench.With(a =>
        {
            a.std();
            a.rep.movsw();
            a.cld();
            a.ret();
        });
        for (var i = 0UL; i < 4096; i++) bench.Memory.WriteU16(Bench.Data + (2 * i), (ushort)i);
        bench.State.Rsi = Bench.Data + (2 * 3000);
        bench.State.Rdi = Bench.Data + (2 * 3010);
        bench.State.Rcx = 2000;

        bench.Cpu.Run(100000).Kind.Should().Be(CpuExitKind.Slot);

        bench.Memory.ReadU16(Bench.Data + (2 * 3010)).Should().Be(3000);
        bench.Memory.ReadU16(Bench.Data + (2 * 1011)).Should().Be(1001);
        bench.Memory.ReadU16(Bench.Data + (2 * 1010)).Should().Be(1010);
        bench.State.Rsi.Should().Be(Bench.Data + (2 * 1000));
    }

    [Fact]
    public void A_fault_in_the_middle_leaves_what_came_before_done_and_goes_on_after()
    {
        var bench = Bench.With(a =>
        {
            a.rep.stosd();
            a.ret();
        });
        bench.State.Rax = 0xABABABAB;
        bench.State.Rdi = Bench.Data + Page;
        bench.State.Rcx = 2 * Page / 4;

        var exit = bench.Cpu.Run(1000);

        exit.Should().Be(new CpuExit(CpuExitKind.PageFault, Bench.Data + (2 * Page), 2, null));
        bench.State.Rdi.Should().Be(Bench.Data + (2 * Page));
        bench.State.Rcx.Should().Be(Page / 4);
        bench.State.Rip.Should().Be(Bench.Code);
        bench.Memory.Map(Bench.Data + (2 * Page), Page, PageAccess.Read | PageAccess.Write);
        bench.Cpu.Run(1000).Kind.Should().Be(CpuExitKind.Slot);
        bench.Memory.ReadU32(Bench.Data + (3 * Page) - 4).Should().Be(0xABABABAB);
    }

    [Fact]
    public void A_poisoned_byte_in_the_middle_stops_exactly_there()
    {
        var bench = Bench.With(a => a.rep.movsb());
        bench.Memory.Fill(Bench.Data, Page, 0x11);
        bench.Memory.WriteShadow(Bench.Data + 1000, 1, 0x90);
        bench.State.Rsi = Bench.Data;
        bench.State.Rdi = Bench.Data + Page;
        bench.State.Rcx = 2000;

        bench.Cpu.Run(1000).Should().Be(new CpuExit(CpuExitKind.ShadowViolation, Bench.Data + 1000, 0x190, null));

        bench.State.Rcx.Should().Be(1000);
        bench.Memory.ReadU8(Bench.Data + Page + 999).Should().Be(0x11);
        bench.Memory.ReadU8(Bench.Data + Page + 1000).Should().Be(0);
    }

    [Fact]
    public void A_long_one_can_be_preempted_between_pages()
    {
        var bench = Bench.With(a =>
        {
            a.rep.stosb();
            a.ret();
        }, dataPages: 8);
        bench.State.Rdi = Bench.Data;
        bench.State.Rcx = 8 * Page;

        bench.Cpu.Run(1).Kind.Should().Be(CpuExitKind.Budget);

        bench.State.Rip.Should().Be(Bench.Code);
        bench.State.Rcx.Should().Be(7 * Page);
        bench.Cpu.Run(100).Kind.Should().Be(CpuExitKind.Slot);
    }

    [Theory]
    [InlineData(5000, 5001UL)]
    [InlineData(0, 1UL)]
    public void Repne_scas_finds_the_terminator_over_pages(int length, ulong scanned)
    {
        var bench = Bench.With(a =>
        {
            a.repne.scasb();
            a.ret();
        });
        bench.Memory.Fill(Bench.Data, (ulong)length, (byte)'x');
        bench.State.Rax = 0;
        bench.State.Rdi = Bench.Data;
        bench.State.Rcx = ulong.MaxValue;

        bench.Cpu.Run(100).Kind.Should().Be(CpuExitKind.Slot);

        (ulong.MaxValue - bench.State.Rcx).Should().Be(scanned);
        (bench.State.Rflags & 0x40).Should().NotBe(0);
    }

    [Fact]
    public void Repe_cmps_stops_after_the_first_difference()
    {
        var bench = Bench.With(a =>
        {
            a.repe.cmpsb();
            a.ret();
        });
        bench.Memory.Fill(Bench.Data, 2 * Page, 7);
        bench.Memory.WriteU8(Bench.Data + Page + 100, 8);
        bench.State.Rsi = Bench.Data;
        bench.State.Rdi = Bench.Data + 50;
        bench.State.Rcx = 6000;

        bench.Cpu.Run(100).Kind.Should().Be(CpuExitKind.Slot);

        bench.State.Rdi.Should().Be(Bench.Data + Page + 101);
        (bench.State.Rflags & 0x41).Should().Be(1, "7 is below 8");
    }

    [Fact]
    public void A_count_of_zero_touches_nothing()
    {
        var bench = Bench.With(a =>
        {
            a.rep.movsb();
            a.repe.cmpsb();
            a.ret();
        });
        bench.State.Rcx = 0;
        bench.State.Rsi = bench.State.Rdi = 0;
        bench.State.Rflags = 0x8D7;

        bench.Cpu.Run(100).Kind.Should().Be(CpuExitKind.Slot);

        bench.State.Rflags.Should().Be(0x8D7);
    }
}
