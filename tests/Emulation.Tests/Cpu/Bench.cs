using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Emulation.Tests.Cpu;

/// <summary>A memory with code, data and a stack, and a processor before the code's first instruction.</summary>
internal sealed class Bench
{
    public const ulong Code = 0xFFFF_F800_0100_0000;
    public const ulong Data = 0xFFFF_A000_0200_0000;
    public const ulong StackTop = 0xFFFF_A000_0300_8000;

    /// <summary>A page that stands for the emulated nt: a function that returns here ends the run.</summary>
    public const ulong Nt = 0xFFFF_F800_0000_0000;

    private const ulong StackSize = 0x8000;

    private Bench(ReadOnlySpan<byte> code, int dataPages)
    {
        Memory.Map(Nt, GuestMemory.PageSize, PageAccess.Execute | PageAccess.Slots);
        Memory.Map(Code, (ulong)code.Length, PageAccess.Read | PageAccess.Execute);
        Memory.Write(Code, code);
        Memory.Map(Data, (ulong)dataPages * GuestMemory.PageSize, PageAccess.Read | PageAccess.Write);
        Memory.Map(StackTop - StackSize, StackSize, PageAccess.Read | PageAccess.Write);
        Cpu = new Harness.Emulation.Cpu.Cpu(Memory);
        Cpu.State.Rip = Code;
        Cpu.State.Rsp = StackTop - 0x1000;
        Memory.WriteU64(Cpu.State.Rsp, Nt);
    }

    public GuestMemory Memory { get; } = new();

    public Harness.Emulation.Cpu.Cpu Cpu { get; }

    public ref CpuState State => ref Cpu.State;

    public static Bench With(ReadOnlySpan<byte> code, int dataPages = 2) => new(code, dataPages);

    public static Bench With(Action<Assembler> write, int dataPages = 2)
    {
        var assembler = new Assembler(64);
        write(assembler);
        using var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), Code);
        return new Bench(code.ToArray(), dataPages);
    }

    /// <summary>Calls a function with up to four arguments as Windows does; answers its result.</summary>
    public ulong Call(ulong function, params ReadOnlySpan<ulong> arguments)
    {
        Prepare(function, arguments);
        return Finish();
    }

    /// <summary>The processor before the first instruction of a function that was called with up to four arguments.</summary>
    public CpuState Prepare(ulong function, params ReadOnlySpan<ulong> arguments)
    {
        State.Rsp = StackTop - 0x1008;
        Memory.WriteU64(State.Rsp, Nt);
        State.Rip = function;
        if (arguments.Length > 0) State.Rcx = arguments[0];
        if (arguments.Length > 1) State.Rdx = arguments[1];
        if (arguments.Length > 2) State.R8 = arguments[2];
        if (arguments.Length > 3) State.R9 = arguments[3];
        return State;
    }

    /// <summary>Executes until the function returns; answers its result.</summary>
    public ulong Finish()
    {
        var exit = Cpu.Run(100_000_000);
        return exit.Kind == CpuExitKind.Slot && exit.Address == Nt ? State.Rax : throw new InvalidOperationException($"{exit} at 0x{State.Rip:x}");
    }
}
