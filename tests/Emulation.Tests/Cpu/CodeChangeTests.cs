using FluentAssertions;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace Emulation.Tests.Cpu;

/// <summary>Decoded instructions never outlive the bytes they came from.</summary>
public class CodeChangeTests
{
    private const PageAccess All = PageAccess.Read | PageAccess.Write | PageAccess.Execute;

    // mov eax, imm32; ret.
    private static byte[] Returning(byte value) => [0xB8, value, 0, 0, 0, 0xC3];

    [Fact]
    public void Code_written_by_the_kernel_is_executed_anew()
    {
        var bench = Bench.With(Returning(1));
        bench.Call(Bench.Code).Should().Be(1);

        bench.Memory.Write(Bench.Code, Returning(2));

        bench.Call(Bench.Code).Should().Be(2);
    }

    [Fact]
    public void Code_that_another_image_replaced_is_executed_anew()
    {
        var bench = Bench.With(Returning(1));
        bench.Call(Bench.Code).Should().Be(1);
        bench.Memory.Unmap(Bench.Code, GuestMemory.PageSize);
        bench.State.Rip = Bench.Code;
        bench.Cpu.Run(1).Kind.Should().Be(CpuExitKind.PageFault);
        bench.Memory.Map(Bench.Code, GuestMemory.PageSize, PageAccess.Execute | PageAccess.Read);
        bench.Memory.Write(Bench.Code, Returning(3));

        bench.Call(Bench.Code).Should().Be(3);
    }

    [Fact]
    public void Restoring_a_saved_state_restores_the_code()
    {
        var bench = Bench.With(Returning(1));
        var state = bench.Memory.Save();
        bench.Call(Bench.Code).Should().Be(1);
        bench.Memory.Write(Bench.Code, Returning(2));
        bench.Call(Bench.Code).Should().Be(2);

        bench.Memory.Restore(state);

        bench.Call(Bench.Code).Should().Be(1);
    }

    [Fact]
    public void Taking_the_right_to_execute_away_counts_at_once()
    {
        var bench = Bench.With(Returning(1));
        bench.Call(Bench.Code);
        bench.Memory.Protect(Bench.Code, GuestMemory.PageSize, PageAccess.Read);
        bench.State.Rip = Bench.Code;

        bench.Cpu.Run(1).Should().Be(new CpuExit(CpuExitKind.PageFault, Bench.Code, 0x11, null));
    }

    [Fact]
    public void Code_that_changes_the_next_instruction_executes_the_new_one()
    {
        var bench = Bench.With(a =>
        {
            var patched = a.CreateLabel();
            a.lea(rbx, __qword_ptr[patched]);
            a.mov(__byte_ptr[rbx + 1], 9);
            a.Label(ref patched);
            a.mov(eax, 1);
            a.ret();
        });
        bench.Memory.Protect(Bench.Code, GuestMemory.PageSize, All);

        bench.Call(Bench.Code).Should().Be(9);
        bench.Call(Bench.Code).Should().Be(9);
    }

    [Fact]
    public void A_loop_that_changes_itself_sees_every_change()
    {
        // Adds 1, then 2, then 3…: the immediate is incremented each time round.
        var bench = Bench.With(a =>
        {
            var again = a.CreateLabel();
            a.lea(rbx, __qword_ptr[again]);
            a.xor(eax, eax);
            a.Label(ref again);
            // add eax, imm8.
            a.db(0x83, 0xC0, 1);
            a.inc(__byte_ptr[rbx + 2]);
            a.dec(ecx);
            a.jne(again);
            a.ret();
        });
        bench.Memory.Protect(Bench.Code, GuestMemory.PageSize, All);

        bench.Call(Bench.Code, 100).Should().Be(5050);
        bench.Call(Bench.Code, 10).Should().Be(Enumerable.Range(101, 10).Aggregate(0UL, (sum, i) => sum + (ulong)(sbyte)i));
    }

    [Fact]
    public void Code_in_the_user_halves_of_two_spaces_is_not_mixed_up()
    {
        const ulong user = 0x7FF0_0000;
        var bench = Bench.With(Returning(1));
        foreach (var space in (ulong[])[10, 20])
        {
            bench.Memory.Space = space;
            bench.Memory.Map(user, GuestMemory.PageSize, PageAccess.Read | PageAccess.Execute | PageAccess.User);
            bench.Memory.Write(user, Returning((byte)space));
        }

        for (var i = 0; i < 3; i++)
        {
            foreach (var space in (ulong[])[10, 20])
            {
                bench.Memory.Space = space;
                bench.Call(user).Should().Be(space);
            }
        }
    }

    [Fact]
    public void Two_processors_share_one_memory()
    {
        var bench = Bench.With(a =>
        {
            a.@lock.add(__qword_ptr[rcx], rdx);
            a.ret();
        });
        var other = new Harness.Emulation.Cpu.Cpu(bench.Memory);
        other.State = bench.State;
        other.State.Rcx = bench.State.Rcx = Bench.Data;
        other.State.Rdx = 5;
        bench.State.Rdx = 7;
        other.State.Rsp -= 0x800;
        bench.Memory.WriteU64(other.State.Rsp, Bench.Nt);

        bench.Cpu.Run(1);
        other.Run(1);
        bench.Cpu.Run(10).Kind.Should().Be(CpuExitKind.Slot);
        other.Run(10).Kind.Should().Be(CpuExitKind.Slot);

        bench.Memory.ReadU64(Bench.Data).Should().Be(12);
    }
}
