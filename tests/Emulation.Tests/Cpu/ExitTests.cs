using FluentAssertions;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Emulation.Tests.Cpu;

/// <summary>When the processor stops, and in which state.</summary>
public class ExitTests
{
    private const ulong Absent = 0xFFFF_B000_0000_0000;

    [Fact]
    public void Run_executes_exactly_the_instructions_asked_for()
    {
        var bench = Bench.With(a =>
        {
            for (var i = 0; i < 100; i++) a.inc(rax);
            a.ret();
        });

        for (var i = 1; i <= 50; i++)
        {
            bench.Cpu.Run(1).Kind.Should().Be(CpuExitKind.Budget);
            bench.State.Rax.Should().Be((ulong)i);
            bench.State.Rip.Should().Be(Bench.Code + (3 * (ulong)i));
        }
        bench.Cpu.Run(40).Kind.Should().Be(CpuExitKind.Budget);
        bench.State.Rax.Should().Be(90);
        bench.Cpu.Run(11).Kind.Should().Be(CpuExitKind.Budget, "the return is the eleventh");
        bench.State.Rip.Should().Be(Bench.Nt);
        bench.Cpu.InstructionsRetired.Should().Be(101);
        bench.Cpu.Run(1).Should().Be(new CpuExit(CpuExitKind.Slot, Bench.Nt, 0, null));
        bench.Cpu.InstructionsRetired.Should().Be(101);
    }

    [Fact]
    public void A_call_into_nt_stops_before_the_slot_with_the_return_address_pushed()
    {
        var bench = Bench.With(a =>
        {
            a.mov(rax, Bench.Nt + 0x40);
            a.call(rax);
            a.ret();
        });

        bench.Cpu.Run(1000).Should().Be(new CpuExit(CpuExitKind.Slot, Bench.Nt + 0x40, 0, null));

        bench.State.Rip.Should().Be(Bench.Nt + 0x40);
        bench.Memory.ReadU64(bench.State.Rsp).Should().Be(Bench.Code + 12);
        bench.State.Rip = bench.Memory.ReadU64(bench.State.Rsp);
        bench.State.Rsp += 8;
        bench.Cpu.Run(1000).Address.Should().Be(Bench.Nt);
    }

    [Theory]
    [InlineData(Absent + 8, 0UL, false)]
    [InlineData(Absent + 8, 2UL, true)]
    [InlineData(Bench.Code, 3UL, true)]
    public void A_page_fault_leaves_everything_as_it_was(ulong address, ulong errorCode, bool write)
    {
        var bench = Bench.With(a =>
        {
            a.mov(rbx, address);
            if (write) a.add(__qword_ptr[rbx], rcx);
            else a.add(rcx, __qword_ptr[rbx]);
        });
        bench.State.Rcx = 5;
        bench.State.Rflags = 0x246;
        bench.Cpu.Run(1);
        var before = bench.State;

        bench.Cpu.Run(10).Should().Be(new CpuExit(CpuExitKind.PageFault, address, errorCode, null));

        bench.State.Should().Be(before);
    }

    [Fact]
    public void A_faulting_instruction_can_be_executed_again_once_the_page_is_there()
    {
        var bench = Bench.With(a =>
        {
            a.mov(rbx, Absent);
            a.xchg(__qword_ptr[rbx], rcx);
            a.ret();
        });
        bench.State.Rcx = 7;
        bench.Cpu.Run(10).Kind.Should().Be(CpuExitKind.PageFault);
        bench.Memory.Map(Absent, GuestMemory.PageSize, PageAccess.Read | PageAccess.Write);
        bench.Memory.WriteU64(Absent, 9);

        bench.Cpu.Run(10).Kind.Should().Be(CpuExitKind.Slot);

        bench.State.Rcx.Should().Be(9);
        bench.Memory.ReadU64(Absent).Should().Be(7);
    }

    [Fact]
    public void An_access_over_two_pages_faults_at_the_page_that_is_missing_and_writes_nothing()
    {
        var bench = Bench.With(a => a.mov(__qword_ptr[rbx], rcx));
        bench.State.Rbx = Bench.Data + (2 * GuestMemory.PageSize) - 3;
        bench.State.Rcx = ulong.MaxValue;

        bench.Cpu.Run(10).Should().Be(new CpuExit(CpuExitKind.PageFault, Bench.Data + (2 * GuestMemory.PageSize), 2, null));

        bench.Memory.ReadU16(bench.State.Rbx).Should().Be(0);
    }

    [Fact]
    public void Accesses_over_two_pages_work()
    {
        var bench = Bench.With(a =>
        {
            a.add(__qword_ptr[rbx], rcx);
            a.mov(rdx, __qword_ptr[rbx]);
            a.movdqu(xmm1, __xmmword_ptr[rbx]);
            a.movdqu(__xmmword_ptr[rbx + 1], xmm1);
            a.bts(__dword_ptr[rbx], 31);
            a.ret();
        });
        bench.State.Rbx = Bench.Data + GuestMemory.PageSize - 3;
        bench.Memory.WriteU64(bench.State.Rbx, 0x0102030405060708);
        bench.State.Rcx = 0x1000000000000001;

        bench.Cpu.Run(100).Kind.Should().Be(CpuExitKind.Slot);

        bench.State.Rdx.Should().Be(0x1102030405060709);
        bench.Memory.ReadU64(bench.State.Rbx + 1).Should().Be(0x1102030405860709);
        bench.Memory.ReadU8(bench.State.Rbx).Should().Be(9);
    }

    [Theory]
    [InlineData(0, 8, false)]
    [InlineData(7, 8, true)]
    [InlineData(3, 4, false)]
    [InlineData(15, 16, true)]
    public void Touching_one_poisoned_byte_stops_the_processor(int poisoned, int size, bool write)
    {
        var bench = Bench.With(a =>
        {
            switch (size, write)
            {
                case (8, false): a.mov(rax, __qword_ptr[rbx]); break;
                case (8, true): a.mov(__qword_ptr[rbx], rax); break;
                case (4, false): a.mov(eax, __dword_ptr[rbx]); break;
                default: a.movups(__xmmword_ptr[rbx], xmm0); break;
            }
        });
        bench.State.Rbx = Bench.Data + 0x100;
        // Its neighbours and shadow without bit 7 don't matter.
        bench.Memory.WriteShadow(Bench.Data, GuestMemory.PageSize, 0x7F);
        bench.Memory.WriteShadow(Bench.Data + 0x100 + (ulong)size, 16, 0xFF);
        bench.Memory.WriteShadow(Bench.Data + 0xFF, 1, 0xFF);
        var clean = bench.State;
        bench.Cpu.Run(1).Kind.Should().Be(CpuExitKind.Budget);
        bench.State = clean;

        bench.Memory.WriteShadow(Bench.Data + 0x100 + (ulong)poisoned, 1, 0xA5);
        var exit = bench.Cpu.Run(1);

        exit.Should().Be(new CpuExit(CpuExitKind.ShadowViolation, Bench.Data + 0x100, 0xA5 | ((ulong)size << 8) | (write ? 0x10000UL : 0), null));
        bench.State.Rip.Should().Be(Bench.Code);
    }

    [Fact]
    public void Instructions_that_need_the_kernel_say_so()
    {
        ExitOf(a => a.ud2()).Kind.Should().Be(CpuExitKind.InvalidOpcode);
        ExitOf(a => a.int3()).Kind.Should().Be(CpuExitKind.Breakpoint);
        ExitOf(a => a.@int(0x29), rcx: 3).Should().Be(new CpuExit(CpuExitKind.FastFail, 0, 3, null));
        ExitOf(a => a.@int(0x2D)).Should().Be(new CpuExit(CpuExitKind.SoftwareInterrupt, 0, 0x2D, null));
        ExitOf(a => a.div(rcx)).Kind.Should().Be(CpuExitKind.DivideError);
        ExitOf(a => a.hlt()).Kind.Should().Be(CpuExitKind.Halt);
        ExitOf(a => a.rdmsr(), rcx: 0x1B).Should().Be(new CpuExit(CpuExitKind.Msr, 0x1B, 0x20000, null));
        ExitOf(a => a.wrmsr(), rcx: 0xC0000101).Should().Be(new CpuExit(CpuExitKind.Msr, 0xC0000101, 0x20100, null));
        ExitOf(a => a.@in(al, dx)).Should().Be(new CpuExit(CpuExitKind.PortIo, 0, 0x10001, null));
        ExitOf(a => a.@out(0x80, eax)).Should().Be(new CpuExit(CpuExitKind.PortIo, 0x80, 0x20104, null));
        ExitOf(a => a.mov(rax, __qword_ptr[rcx]), rcx: 0x8000_0000_0000_0000).Kind.Should().Be(CpuExitKind.GeneralProtection);
        ExitOf(a => a.movaps(xmm0, __xmmword_ptr[rcx]), rcx: Bench.Data + 8).Should().Be(new CpuExit(CpuExitKind.GeneralProtection, Bench.Data + 8, 0, null));
        ExitOf(a => a.mov(cr8, rcx), rcx: 16).Kind.Should().Be(CpuExitKind.GeneralProtection);
        ExitOf(a => a.jmp(rcx), rcx: 0x0001_0000_0000_0000, instructions: 2).Should().Be(new CpuExit(CpuExitKind.GeneralProtection, 0x0001_0000_0000_0000, 0, null));
        ExitOf(a => a.jmp(rcx), rcx: Bench.Data, instructions: 2).Should().Be(new CpuExit(CpuExitKind.PageFault, Bench.Data, 0x11, null));
        ExitOf(a => a.jmp(rcx), rcx: Absent, instructions: 2).Should().Be(new CpuExit(CpuExitKind.PageFault, Absent, 0x10, null));
    }

    [Theory]
    [InlineData("C5FC28C1", "vmovaps ymm0,ymm1")]
    [InlineData("0F01D0", "xgetbv")]
    [InlineData("0F05", "syscall")]
    [InlineData("D9EE", "fldz")]
    [InlineData("0FFCC1", "paddb mm0,mm1")]
    [InlineData("48CB", "retf")]
    public void What_is_not_modelled_is_named_and_not_executed(string bytes, string text)
    {
        var bench = Bench.With(Convert.FromHexString("48FFC0" + bytes));

        var exit = bench.Cpu.Run(100);

        exit.Kind.Should().Be(CpuExitKind.Unknown);
        exit.Text.Should().StartWith(bytes.ToLowerInvariant() + ": ").And.Contain(text);
        bench.State.Rip.Should().Be(Bench.Code + 3);
        bench.State.Rax.Should().Be(1);
    }

    [Fact]
    public void Writing_cr8_and_enabling_interrupts_stop_after_the_instruction()
    {
        var bench = Bench.With(a =>
        {
            a.mov(cr8, rcx);
            a.mov(rax, cr8);
            a.cli();
            a.sti();
            a.sti();
            a.pushfq();
            a.cli();
            a.popfq();
            a.ret();
        });
        bench.State.Rcx = 2;

        bench.Cpu.Run(100).Kind.Should().Be(CpuExitKind.Cr8Written);
        bench.State.Cr8.Should().Be(2);
        bench.State.Rip.Should().Be(Bench.Code + 4);
        bench.Cpu.Run(100).Kind.Should().Be(CpuExitKind.InterruptsEnabled);
        bench.State.Rax.Should().Be(2);
        bench.State.InterruptsEnabled.Should().BeTrue();
        bench.Cpu.Run(100).Kind.Should().Be(CpuExitKind.InterruptsEnabled, "the second sti changes nothing, popfq does");
        bench.Cpu.Run(100).Kind.Should().Be(CpuExitKind.Slot);
        bench.Cpu.InstructionsRetired.Should().Be(9);
    }

    [Fact]
    public void The_last_instruction_of_a_page_may_reach_into_the_next_when_that_is_code()
    {
        var code = new byte[2 * GuestMemory.PageSize];
        Array.Fill(code, (byte)0x90);
        // mov eax, 12345678h over the boundary, then ret.
        Convert.FromHexString("B878563412C3").CopyTo(code, GuestMemory.PageSize - 2);
        var bench = Bench.With(code);
        bench.Call(Bench.Code).Should().Be(0x12345678);

        bench.Memory.Protect(Bench.Code + GuestMemory.PageSize, GuestMemory.PageSize, PageAccess.Read);
        bench.State.Rip = Bench.Code + GuestMemory.PageSize - 3;
        bench.Cpu.Run(10).Should().Be(new CpuExit(CpuExitKind.PageFault, Bench.Code + GuestMemory.PageSize, 0x11, null));
        bench.State.Rip.Should().Be(Bench.Code + GuestMemory.PageSize - 2);
    }

    [Fact]
    public void Lock_before_an_instruction_that_cannot_take_it_is_an_invalid_opcode()
    {
        Bench.With(Convert.FromHexString("F04801C8")).Cpu.Run(1).Kind.Should().Be(CpuExitKind.InvalidOpcode, "lock add rax, rcx has no memory operand");
    }

    private static CpuExit ExitOf(Action<Assembler> write, ulong rcx = 0, int instructions = 1)
    {
        var bench = Bench.With(write);
        bench.State.Rcx = rcx;
        return bench.Cpu.Run(instructions);
    }
}
