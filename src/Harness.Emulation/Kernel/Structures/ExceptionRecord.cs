using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>EXCEPTION_RECORD of x64 (winnt.h).</summary>
internal readonly record struct ExceptionRecord(GuestMemory Memory, ulong Address)
{
    public const uint Size = 0x98;

    /// <summary>EXCEPTION_MAXIMUM_PARAMETERS.</summary>
    public const int MostParameters = 15;

    public NtStatus Code => new(Memory.ReadU32(Address));

    public ExceptionFlags Flags
    {
        get => (ExceptionFlags)Memory.ReadU32(Address + 4);
        set => Memory.WriteU32(Address + 4, (uint)value);
    }

    public ulong ExceptionAddress
    {
        get => Memory.ReadU64(Address + 0x10);
        set => Memory.WriteU64(Address + 0x10, value);
    }

    public ulong Information(int index) => index < Memory.ReadU32(Address + 0x18) ? Memory.ReadU64(Address + 0x20 + ((ulong)index * 8)) : 0;

    public void Fill(NtStatus code, ExceptionFlags flags, ulong address, params ReadOnlySpan<ulong> information)
    {
        Memory.Fill(Address, Size, 0);
        Memory.WriteU32(Address, code.Value);
        Flags = flags;
        ExceptionAddress = address;
        Memory.WriteU32(Address + 0x18, (uint)information.Length);
        for (var i = 0; i < information.Length; i++) Memory.WriteU64(Address + 0x20 + ((ulong)i * 8), information[i]);
    }
}

/// <summary>EXCEPTION_XXX flags of EXCEPTION_RECORD (winnt.h).</summary>
[Flags]
internal enum ExceptionFlags : uint
{
    None = 0,
    NonContinuable = 1,
    Unwinding = 2,
    ExitUnwind = 4,
    StackInvalid = 8,
    NestedCall = 0x10,
    TargetUnwind = 0x20,
    CollidedUnwind = 0x40,
}

/// <summary>EXCEPTION_DISPOSITION (excpt.h): what a language handler answers.</summary>
internal enum Disposition
{
    ContinueExecution,
    ContinueSearch,
    NestedException,
    CollidedUnwind,
}
