namespace Harness.Emulation.Cpu;

/// <summary>Why <see cref="Cpu.Run"/> came back.</summary>
public enum CpuExitKind
{
    /// <summary>The instructions asked for were executed.</summary>
    Budget,

    /// <summary>Rip stands on a <see cref="Memory.PageAccess.Slots"/> page: the emulated nt was called.</summary>
    Slot,

    /// <summary>A `mov cr8` was executed: interrupts may be deliverable now.</summary>
    Cr8Written,

    /// <summary>A `sti` or `popfq` was executed that turned RFLAGS.IF from 0 to 1.</summary>
    InterruptsEnabled,

    /// <summary>Address: the first byte refused. Detail: the page-fault error code (bit 0 present, 1 write, 4 fetch).</summary>
    PageFault,

    /// <summary>Address: the access. Detail: bits 0–7 the first poisoned shadow byte, 8–15 the size in bytes, 16 set for a store.</summary>
    ShadowViolation,

    /// <summary>A pageable page was touched at DISPATCH_LEVEL or above. Address, Detail: as for ShadowViolation, without the shadow byte; bit 17: an instruction fetch.</summary>
    PageableAtDispatch,

    /// <summary>Division by zero or a quotient that doesn't fit.</summary>
    DivideError,

    /// <summary>`ud2`, or bytes that are an instruction on no x64 processor.</summary>
    InvalidOpcode,

    /// <summary>An instruction the interpreter does not model. Text: its bytes and what it is.</summary>
    Unknown,

    /// <summary>`int3`.</summary>
    Breakpoint,

    /// <summary>`int 29h`. Detail: rcx, the FAST_FAIL_* code.</summary>
    FastFail,

    /// <summary>Another `int n`. Detail: n.</summary>
    SoftwareInterrupt,

    /// <summary>A non-canonical address, a misaligned operand of an SSE instruction that needs alignment, a reserved bit of a control register. Address: the operand.</summary>
    GeneralProtection,

    /// <summary>`hlt`; Rip is after it.</summary>
    Halt,

    /// <summary>`in`, `out`, `ins`, `outs`. Address: the port. Detail: bits 0–7 size in bytes, 8 set for output, 16–23 the instruction's length.</summary>
    PortIo,

    /// <summary>`rdmsr`, `wrmsr`. Address: the register's number (ecx). Detail: bit 8 set for a write, 16–23 the instruction's length.</summary>
    Msr,
}

/// <summary>
/// Why a run ended. Budget, Cr8Written, InterruptsEnabled and Halt come after an instruction; everything else before one, with all
/// registers and memory as before it and Rip at it, so that it can be executed again.
/// </summary>
/// <param name="Kind">The reason; it says what the other fields hold.</param>
/// <param name="Address">See <see cref="CpuExitKind"/>; else 0.</param>
/// <param name="Detail">See <see cref="CpuExitKind"/>; else 0.</param>
/// <param name="Text">Unknown only: the instruction.</param>
public readonly record struct CpuExit(CpuExitKind Kind, ulong Address, ulong Detail, string? Text);
