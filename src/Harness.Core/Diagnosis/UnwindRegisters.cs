using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// The registers a stack walk carries from frame to frame, by their number in x64 encodings (0 rax, 1 rcx, 2 rdx, 3 rbx, 4 rsp, 5 rbp,
/// 6 rsi, 7 rdi, 8…15 r8…r15). One that nobody saved is unknown, not zero.
/// </summary>
public sealed class UnwindRegisters
{
    /// <summary>The number of RSP.</summary>
    public const int RspNumber = 4;

    /// <summary>The number of RBP.</summary>
    public const int RbpNumber = 5;

    private readonly ulong?[] _values = new ulong?[16];
    private readonly KernelAddress?[] _xmmSavedAt = new KernelAddress?[16];

    /// <param name="rip">Where the innermost frame goes on.</param>
    /// <param name="rsp">Its stack pointer.</param>
    public UnwindRegisters(KernelAddress rip, KernelAddress rsp)
    {
        Rip = rip;
        Rsp = rsp;
    }

    private UnwindRegisters(UnwindRegisters other)
    {
        Rip = other.Rip;
        other._values.CopyTo(_values, 0);
        other._xmmSavedAt.CopyTo(_xmmSavedAt, 0);
    }

    /// <summary>The instruction pointer.</summary>
    public KernelAddress Rip { get; set; }

    /// <summary>The stack pointer.</summary>
    public KernelAddress Rsp
    {
        get => new(_values[RspNumber]!.Value);
        set => _values[RspNumber] = value.Value;
    }

    /// <summary>A register's value; null when it isn't known. RSP is always known.</summary>
    public ulong? this[int number]
    {
        get => _values[number];
        set
        {
            if (number != RspNumber || value is not null) _values[number] = value;
        }
    }

    /// <summary>Where the last frame that was unwound and that saved this XMM register has kept it; null when none of them did.</summary>
    public KernelAddress? XmmSavedAt(int number) => _xmmSavedAt[number];

    internal void SetXmmSavedAt(int number, KernelAddress slot) => _xmmSavedAt[number] = slot;

    internal UnwindRegisters Copy() => new(this);
}
