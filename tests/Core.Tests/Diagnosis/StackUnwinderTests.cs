using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Diagnosis;

/// <summary>Unwind information written by hand: what compilers rarely make, and what no compiler would.</summary>
public class StackUnwinderTests
{
    private const int Rbx = 3, Rbp = 5, Rsi = 6, R12 = 12;
    private static readonly KernelAddress ImageBase = new(0xFFFFF803_40000000);
    private static readonly KernelAddress Low = new(0xFFFFB00C_00000000);
    private static readonly KernelAddress High = new(0xFFFFB00C_00006000);

    private readonly FakeKernel _kernel = new();
    private readonly FakeImage _image = new();

    [Fact]
    public void A_waiting_thread_is_unwound_from_its_switch_frame_to_user_mode()
    {
        var thread = _kernel.AddThread(_kernel.AddProcess(412, "victim.exe"), 416);
        var pointers = _kernel.Stack(thread, FakeKernel.Abort);
        var view = _kernel.View();

        var stack = view.Stacks.OfThread(thread);

        stack.Select(frame => frame.Name).Should().Equal("nt!KiSwapContext+0x76", "nt!KeWaitForSingleObject+0x20", "nt!IopCancelAlertedRequest+0x20",
            "nt!IopSynchronousServiceTail+0x20", "nt!IopXxxControlFile+0x20", "nt!NtDeviceIoControlFile+0x20", "nt!KiSystemServiceCopyEnd+0x25");
        stack.Skip(1).Take(5).Select(frame => frame.StackPointer).Should().Equal(pointers);
        stack.Should().OnlyContain(frame => frame.Module == "nt");
        view.Notes.Should().BeEmpty();
    }

    [Fact]
    public void Saved_registers_come_back_from_near_and_far_slots()
    {
        // The caller's frame pointer is what this function saved: only a register that was restored leads on.
        _image.Function(0x1000, 0x1100, _image.UnwindInfo(Unwind.Of(Unwind.SaveFar(12, Rbx, 0x1008), Unwind.Save(10, Rbp, 0x18), Unwind.AllocateFar(7, 0x2000)), prologue: 12));
        _image.Function(0x1100, 0x1200, _image.UnwindInfo(Unwind.Of(Unwind.SetFramePointer(8), Unwind.AllocateSmall(4, 0x20), Unwind.Push(1, Rbp)), prologue: 8, frameRegister: Rbp, frameOffset: 1));
        Quad(0x18, (Low + 0x2100).Value + 0x10);
        Return(0x2000, 0x1150);
        // rbp - 0x10 is RSP; the frame is 0x20 bytes and the pushed rbp.
        Return(0x2100 + 0x20 + 8, 0);

        Names(Registers(0x1080, 0)).Should().Equal("hand+0x1080", "hand+0x1150");
    }

    [Fact]
    public void A_large_allocation_and_saved_xmm_registers_are_stepped_over()
    {
        _image.Function(0x1000, 0x1100, _image.UnwindInfo(Unwind.Of(
            Unwind.SaveXmmFar(20, 6, 0x100000), Unwind.SaveXmm(16, 7, 0x40), Unwind.Allocate(8, 0x1000), Unwind.Push(1, R12)), prologue: 20));
        Return(0x1008, 0);
        Names(Registers(0x1080, 0)).Should().Equal("hand+0x1080");
        Stack(Registers(0x1080, 0)).Notes.Should().BeEmpty();
    }

    [Theory]
    [InlineData(0, 0x38)] // before anything: the return address is on top
    [InlineData(2, 0x30)] // after push
    [InlineData(6, 0x10)] // after sub rsp, 0x20
    [InlineData(9, 0x10)] // after lea rbp
    public void Only_what_the_prologue_has_done_so_far_is_undone(uint offset, ulong rsp)
    {
        _image.Function(0x1000, 0x1100, _image.UnwindInfo(Unwind.Of(Unwind.SetFramePointer(9), Unwind.AllocateSmall(6, 0x20), Unwind.Push(2, Rbp)), prologue: 9, frameRegister: Rbp, frameOffset: 0));
        _image.Function(0x2000, 0x2100, _image.UnwindInfo([]));
        Return(0x38, 0x2050);
        Return(0x40, 0);
        var registers = Registers(0x1000 + offset, rsp);
        registers[Rbp] = offset < 9 ? 0xDEAD : (Low + 0x10).Value;

        Names(registers).Should().Equal(offset == 0 ? "hand+0x1000" : $"hand+0x{0x1000 + offset:x}", "hand+0x2050");
    }

    [Fact]
    public void A_function_without_unwind_information_has_only_a_return_address()
    {
        _image.Function(0x2000, 0x2100, _image.UnwindInfo(Unwind.AllocateSmall(4, 0x20), prologue: 4));
        Return(0, 0x2050);
        Return(8 + 0x20, 0);
        Names(Registers(0x1800, 0)).Should().Equal("hand+0x1800", "hand+0x2050");
    }

    [Fact]
    public void A_function_that_called_another_cannot_be_a_leaf()
    {
        _image.Function(0x2000, 0x2100, _image.UnwindInfo(Unwind.AllocateSmall(4, 0x20), prologue: 4));
        Return(0x20, 0x1800);
        var (frames, notes) = Stack(Registers(0x2050, 0));
        frames.Select(frame => frame.Name).Should().Equal("hand+0x2050", "hand+0x1800");
        notes.Should().ContainSingle().Which.Should().Contain("hand+0x1800").And.Contain("no unwind information");
    }

    [Fact]
    public void A_piece_of_a_function_is_undone_with_the_function_it_is_chained_to()
    {
        var primary = _image.UnwindInfo(Unwind.Of(Unwind.AllocateSmall(6, 0x20), Unwind.Push(2, Rbx)), prologue: 6);
        _image.Function(0x1000, 0x1100, primary);
        // Chained information ends in a RUNTIME_FUNCTION after an even number of code slots.
        _image.Function(0x3000, 0x3040, _image.UnwindInfo(Unwind.Save(4, Rsi, 0x30), prologue: 4, flags: 4, after: [0x1000, 0x1100, primary]));
        _image.Function(0x3040, 0x3080, _image.UnwindInfo(Unwind.Push(1, Rsi), prologue: 1, flags: 4, after: [0x1000, 0x1100, primary]));
        Return(0x28, 0);
        Names(Registers(0x3020, 0)).Should().Equal("hand+0x3020");

        Return(0x30, 0x1050);
        Return(0x60, 0);
        Names(Registers(0x3060, 0)).Should().Equal("hand+0x3060", "hand+0x1050");
        // Inside the piece's own prologue its push has not happened, the primary's has.
        Names(Registers(0x3040, 8)).Should().Equal("hand+0x3040", "hand+0x1050");
    }

    [Theory]
    [InlineData(false, 0x40)]
    [InlineData(true, 0x48)]
    public void An_interrupted_routine_is_found_behind_the_machine_frame(bool errorCode, ulong machineFrame)
    {
        _image.Function(0x1000, 0x1100, _image.UnwindInfo(Unwind.Of(Unwind.AllocateSmall(4, 0x40), Unwind.MachineFrame(0, errorCode)), prologue: 4));
        _image.Function(0x2000, 0x2100, _image.UnwindInfo(Unwind.AllocateSmall(4, 0x20), prologue: 4));
        Return(machineFrame, 0x1900); // a leaf may be interrupted
        Quad(machineFrame + 24, (Low + 0x200).Value);
        Return(0x200, 0x2050);
        Return(0x228, 0);

        var frames = Stack(Registers(0x1080, 0)).Frames;

        frames.Select(frame => frame.Name).Should().Equal("hand+0x1080", "hand+0x1900", "hand+0x2050");
        frames[1].StackPointer.Should().Be(Low + 0x200);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void Epilogue_codes_of_version_2_take_one_slot_each(int more)
    {
        var epilogues = Unwind.Of([Unwind.Epilogue(6, 1), .. Enumerable.Range(0, more).Select(i => Unwind.Epilogue(i * 0x20, 0))]);
        _image.Function(0x1000, 0x1100, _image.UnwindInfo([.. epilogues, .. Unwind.Of(Unwind.AllocateSmall(6, 0x28), Unwind.Push(2, Rbx))], prologue: 6, version: 2));
        Return(0x30, 0);
        Stack(Registers(0x1080, 0)).Notes.Should().BeEmpty();
        Stack(Registers(0x1080, 0)).Frames.Should().ContainSingle();
    }

    [Theory]
    [InlineData(new byte[] { 0x48, 0x83, 0xC4, 0x28, 0x5B, 0xC3 }, 0)] // add rsp, 0x28; pop rbx; ret
    [InlineData(new byte[] { 0x48, 0x81, 0xC4, 0x28, 0, 0, 0, 0x5B, 0xC3 }, 0)] // add rsp, imm32
    [InlineData(new byte[] { 0x48, 0x8D, 0x65, 0x28, 0x5B, 0xC3 }, 0)] // lea rsp, [rbp + 0x28]
    [InlineData(new byte[] { 0x49, 0x8D, 0xA4, 0x24, 0x28, 0, 0, 0, 0x5B, 0xC3 }, 0)] // lea rsp, [r12 + 0x28]
    [InlineData(new byte[] { 0x5B, 0xC3 }, 0x28)] // pop rbx; ret
    [InlineData(new byte[] { 0x41, 0x5C, 0xF3, 0xC3 }, 0x28)] // pop r12; rep ret
    [InlineData(new byte[] { 0xC3 }, 0x30)]
    [InlineData(new byte[] { 0xC2, 0x10, 0x00 }, 0x30)] // ret 0x10
    [InlineData(new byte[] { 0xFF, 0x25, 0, 0, 0, 0 }, 0x30)] // jmp [import]
    [InlineData(new byte[] { 0x48, 0xFF, 0xE0 }, 0x30)] // rex.w jmp rax
    [InlineData(new byte[] { 0xE9, 0, 0x10, 0, 0 }, 0x30)] // jmp to another function
    [InlineData(new byte[] { 0xC9, 0xC3 }, 0)] // leave; ret
    public void What_is_left_of_an_epilogue_is_carried_out(byte[] code, ulong rsp)
    {
        EpilogueFunction(code);
        var registers = Registers(0x1080, rsp);
        registers[Rbp] = code[0] == 0xC9 ? (Low + 0x28).Value : Low.Value;
        registers[R12] = Low.Value;
        var (frames, notes) = Stack(registers);
        frames.Select(frame => frame.Name).Should().Equal("hand+0x1080", "hand+0x2050");
        notes.Should().BeEmpty();
    }

    [Theory]
    [InlineData(new byte[] { 0xEB, 0x10 })] // jmp inside the function
    [InlineData(new byte[] { 0xFF, 0xE0 })] // jmp rax: a switch
    [InlineData(new byte[] { 0x48, 0x83, 0xC4, 0x28, 0x90 })] // add rsp, then something else
    [InlineData(new byte[] { 0xCC, 0xCC })]
    public void What_only_resembles_an_epilogue_is_unwound_by_its_codes(byte[] code)
    {
        EpilogueFunction(code);
        Names(Registers(0x1080, 0)).Should().Equal("hand+0x1080", "hand+0x2050");
    }

    [Fact]
    public void A_frame_pointer_nobody_knows_ends_the_walk()
    {
        _image.Function(0x1000, 0x1100, _image.UnwindInfo(Unwind.Of(Unwind.SetFramePointer(4), Unwind.Push(1, R12)), prologue: 4, frameRegister: R12));
        var (frames, notes) = Stack(Registers(0x1080, 0));
        frames.Should().ContainSingle();
        notes.Should().ContainSingle().Which.Should().Contain("frame register 12 is not known");
    }

    [Theory]
    [InlineData("version", "version 3")]
    [InlineData("operation", "malformed")]
    [InlineData("cut", "malformed")]
    [InlineData("circle", "without end")]
    [InlineData("outside", "not in memory")]
    public void Unwind_information_that_makes_no_sense_ends_the_walk_with_a_note(string kind, string note)
    {
        var info = kind switch
        {
            "version" => _image.UnwindInfo([], version: 3),
            "operation" => _image.UnwindInfo([0, 0x0B]),
            "cut" => _image.UnwindInfo(Unwind.Allocate(0, 0x100)[..2]),
            "circle" => _image.UnwindInfo([], flags: 4, after: [0x1000, 0x1100, 0x5000]),
            _ => 0xFFFF_0000u,
        };
        _image.Function(0x1000, 0x1100, info);
        var (frames, notes) = Stack(Registers(0x1080, 0));
        frames.Should().ContainSingle();
        notes.Should().ContainSingle().Which.Should().Contain("hand+0x1080").And.Contain(note);
    }

    [Fact]
    public void A_walk_that_goes_down_or_out_of_the_stack_ends()
    {
        _image.Function(0x1000, 0x1100, _image.UnwindInfo(Unwind.MachineFrame(0, errorCode: false)));
        Return(0x100, 0x1080);
        Quad(0x100 + 24, (Low + 0x100).Value);
        Stack(Registers(0x1080, 0x100)).Notes.Should().ContainSingle().Which.Should().Contain("leads down");

        Quad(0x100 + 24, High.Value + 0x1000);
        Stack(Registers(0x1080, 0x100)).Notes.Should().ContainSingle().Which.Should().Contain("left the stack");
    }

    [Fact]
    public void A_stack_is_never_longer_than_its_limit()
    {
        _image.Function(0x1000, 0x1100, _image.UnwindInfo([]));
        for (var i = 0u; i < 0x5000; i += 8) Return(i, 0x1080);
        var (frames, notes) = Stack(Registers(0x1080, 0));
        frames.Should().HaveCount(StackUnwinder.MostFrames);
        notes.Should().ContainSingle().Which.Should().Contain("more than 128 frames");
    }

    [Fact]
    public void An_address_in_no_module_is_shown_and_not_guessed_through()
    {
        _image.Function(0x1000, 0x1100, _image.UnwindInfo([]));
        Quad(0, 0xFFFFA00A_12345678);
        Quad(8, (ImageBase + 0x1080).Value);
        var (frames, notes) = Stack(Registers(0x1080, 0));
        frames.Select(frame => (frame.Name, frame.Module)).Should().Equal(("hand+0x1080", "hand.sys"), ("0xffffa00a12345678", null));
        notes.Should().ContainSingle().Which.Should().Contain("no module");
    }

    [Theory]
    [InlineData(new byte[] { 0xE8, 1, 2, 3, 4 })] // call rel32
    [InlineData(new byte[] { 0xFF, 0xD0 })] // call rax
    [InlineData(new byte[] { 0xFF, 0x53, 0x28 })] // call [rbx+28h]
    [InlineData(new byte[] { 0xFF, 0x15, 1, 2, 3, 4 })] // call [rip+…]
    [InlineData(new byte[] { 0x41, 0xFF, 0x94, 0x24, 1, 2, 3, 4 })] // call [r12+…]
    [InlineData(new byte[] { 0xFF, 0x14, 0xC8 })] // call [rax+rcx*8]
    [InlineData(new byte[] { 0xFF, 0x14, 0xC5, 1, 2, 3, 4 })] // call [rax*8+…]
    public void Above_a_frame_without_unwind_information_what_follows_a_call_is_a_guess(byte[] call)
    {
        // The leaf's return address leads into a function that called something and has no unwind information.
        _image.Function(0x1000, 0x1100, _image.UnwindInfo([])).Function(0x3000, 0x3100, _image.UnwindInfo(Unwind.AllocateSmall(4, 0x28), prologue: 4));
        _image.Code((uint)(0x3080 - call.Length), call).Code(0x3090, 0x90, 0x90);
        Return(0, 0x2050);
        Return(0x10, 0x3098); // in a function, and no call before it
        Return(0x18, 0x2090); // in no function
        Return(0x38, 0x3080);
        Return(0x38 + 8 + 0x28, 0x3080);
        var (frames, notes) = Stack(Registers(0x1080, 0));
        frames.Select(frame => (frame.Name, frame.Guessed)).Should().Equal(("hand+0x1080", false), ("hand+0x2050", false), ("hand+0x3080", true), ("hand+0x3080", true));
        notes.Should().Contain(note => note.Contains("hand+0x2050 could not be unwound"));
    }

    [Theory]
    [InlineData(new byte[] { 0xFF, 0xE0 })] // jmp rax
    [InlineData(new byte[] { 0xFF, 0x53, 0x28, 0x90 })] // a call, and then something else
    [InlineData(new byte[] { 0xFF, 0x94 })] // half a call
    public void What_follows_no_call_is_no_return_address(byte[] code)
    {
        _image.Function(0x1000, 0x1100, _image.UnwindInfo([])).Function(0x3000, 0x3100, _image.UnwindInfo([])).Code((uint)(0x3080 - code.Length), code);
        Return(0, 0x2050);
        Return(0x38, 0x3080);
        Names(Registers(0x1080, 0)).Should().Equal("hand+0x1080", "hand+0x2050");
    }

    [Fact]
    public void Memory_that_is_absent_ends_the_walk_there()
    {
        _image.Function(0x1000, 0x1100, _image.UnwindInfo(Unwind.Allocate(4, 0x2FF8), prologue: 4));
        Return(0x2FF8, 0x1080);
        var registers = Registers(0x1080, 0);
        var (frames, notes) = Stack(registers, stackPages: 5);
        frames.Should().HaveCount(2);
        notes.Should().ContainSingle().Which.Should().Contain("not in memory");
    }

    [Fact]
    public void A_thread_whose_stack_pointers_lie_has_no_stack()
    {
        var thread = _kernel.AddThread(_kernel.AddProcess(412, "victim.exe"), 416);
        _kernel.Stack(thread, FakeKernel.Abort);
        var layout = _kernel.Layout.KThread;
        var kernelStack = _kernel.Memory.UInt64(thread + layout.KernelStack);
        foreach (var lie in new ulong[] { 0, 1, 0x7FFF_0000, kernelStack + 0x10000, ulong.MaxValue })
        {
            _kernel.Memory.UInt64(thread + layout.KernelStack, lie);
            var view = _kernel.View();
            view.Stacks.OfThread(thread).Should().BeEmpty();
            view.Notes.Should().ContainSingle().Which.Should().Contain("KernelStack");
        }

        _kernel.Memory.UInt64(thread + layout.KernelStack, kernelStack);
        _kernel.Memory.UInt64(thread + layout.StackBase, ulong.MaxValue);
        var blind = _kernel.View();
        blind.Stacks.OfThread(thread).Should().BeEmpty();
        blind.Notes.Should().ContainSingle().Which.Should().Contain("stack bounds");
    }

    /// <summary>A function whose body has allocated 0x28 bytes after pushing one register, with code at its 0x80th byte.</summary>
    private void EpilogueFunction(byte[] code)
    {
        _image.Function(0x1000, 0x1100, _image.UnwindInfo(Unwind.Of(Unwind.AllocateSmall(6, 0x28), Unwind.Push(2, Rbx)), prologue: 6)).Code(0x1080, code);
        _image.Function(0x2000, 0x2100, _image.UnwindInfo([]));
        Return(0x30, 0x2050);
        for (var i = 0x38u; i < 0x60; i += 8) Return(i, 0);
    }

    private void Return(ulong offset, uint rva) => Quad(offset, rva == 0 ? 0 : (ImageBase + rva).Value);

    private readonly List<(ulong Offset, ulong Value)> _stack = [];

    private void Quad(ulong offset, ulong value) => _stack.Add((offset, value));

    private static UnwindRegisters Registers(uint rva, ulong rsp) => new(ImageBase + rva, Low + rsp);

    private IEnumerable<string> Names(UnwindRegisters registers) => Stack(registers).Frames.Select(frame => frame.Name);

    private (IReadOnlyList<StackFrame> Frames, IReadOnlyList<string> Notes) Stack(UnwindRegisters registers, uint stackPages = 6)
    {
        var kernel = new FakeKernel();
        kernel.AddModule("hand.sys", ImageBase, _image.Build());
        kernel.Memory.Write(Low, new byte[stackPages * 0x1000]);
        foreach (var (offset, value) in _stack) kernel.Memory.UInt64(Low + offset, value);
        var view = kernel.View();
        return (view.Stacks.From(registers, Low, High), view.Notes);
    }
}
