using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>KAPC_STATE: the APCs queued to a thread.</summary>
internal readonly record struct ApcState(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(KAPC_STATE) on x64, build 19041.</summary>
    public const int Size = 0x30;

    public bool IsNull => Address == 0;

    public Process Process
    {
        get => new(Memory, Memory.ReadU64(Address + 0x20));
        set => Memory.WriteU64(Address + 0x20, value.Address);
    }

    /// <summary>Bit 0 a kernel APC, bit 1 a special APC is being delivered.</summary>
    public byte InProgressFlags
    {
        get => Memory.ReadU8(Address + 0x28);
        set => Memory.WriteU8(Address + 0x28, value);
    }

    public bool KernelApcPending
    {
        get => Memory.ReadU8(Address + 0x29) != 0;
        set => Memory.WriteU8(Address + 0x29, value ? (byte)1 : (byte)0);
    }

    /// <summary>Bit 0 special, bit 1 ordinary user APC.</summary>
    public byte UserApcPendingAll
    {
        get => Memory.ReadU8(Address + 0x2A);
        set => Memory.WriteU8(Address + 0x2A, value);
    }

    public ListHead List(ProcessorMode mode) => new(Memory, Address + ((ulong)mode * 0x10));

    public bool UserApcPending
    {
        get => (UserApcPendingAll & 2) != 0;
        set => UserApcPendingAll = (byte)((UserApcPendingAll & ~2) | (value ? 2 : 0));
    }
}
