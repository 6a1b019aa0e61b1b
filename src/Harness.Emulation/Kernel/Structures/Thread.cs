using Harness.Core.Nt;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>KTHREAD and ETHREAD. Offsets: Nt/nt-offsets.json, build 19041; those not in it: public symbols of the same build.</summary>
internal readonly record struct Thread(GuestMemory Memory, ulong Address)
{
    /// <summary>sizeof(ETHREAD) on x64, build 19041.</summary>
    public const int Size = 0x898;

    /// <summary>Bytes behind the ETHREAD: the harness's own.</summary>
    public const int OwnSize = 0x10;

    public bool IsNull => Address == 0;

    /// <summary>The instruction by which a driver's code last left for nt on this thread: the last resort when a stack names no driver.</summary>
    public ulong LastDriverCode
    {
        get => Memory.ReadU64(Address + Size);
        set => Memory.WriteU64(Address + Size, value);
    }

    public DispatcherHeader Header => new(Memory, Address);

    /// <summary>The CurrentRunTime at which another thread of the same priority may have the processor.</summary>
    public uint QuantumTarget
    {
        get => Memory.ReadU32(Address + 0x20);
        set => Memory.WriteU32(Address + 0x20, value);
    }

    /// <summary>Instructions executed since the thread last waited or was in user mode.</summary>
    public uint CurrentRunTime
    {
        get => Memory.ReadU32(Address + 0x50);
        set => Memory.WriteU32(Address + 0x50, value);
    }

    /// <summary>Where a system call starts pushing.</summary>
    public ulong InitialStack
    {
        get => Memory.ReadU64(Address + 0x28);
        set => Memory.WriteU64(Address + 0x28, value);
    }

    public ulong StackLimit
    {
        get => Memory.ReadU64(Address + 0x30);
        set => Memory.WriteU64(Address + 0x30, value);
    }

    public ulong StackBase
    {
        get => Memory.ReadU64(Address + 0x38);
        set => Memory.WriteU64(Address + 0x38, value);
    }

    /// <summary>The KSWITCH_FRAME while the thread does not run.</summary>
    public ulong KernelStack
    {
        get => Memory.ReadU64(Address + 0x58);
        set => Memory.WriteU64(Address + 0x58, value);
    }

    public bool Running
    {
        get => Memory.ReadU8(Address + 0x71) != 0;
        set => Memory.WriteU8(Address + 0x71, value ? (byte)1 : (byte)0);
    }

    public byte AlertedKernelMode
    {
        get => Memory.ReadU8(Address + 0x72);
        set => Memory.WriteU8(Address + 0x72, value);
    }

    public byte AlertedUserMode
    {
        get => Memory.ReadU8(Address + 0x73);
        set => Memory.WriteU8(Address + 0x73, value);
    }

    public ulong TrapFrame
    {
        get => Memory.ReadU64(Address + 0x90);
        set => Memory.WriteU64(Address + 0x90, value);
    }

    public ApcState ApcState => new(Memory, Address + 0x98);

    public byte Priority
    {
        get => Memory.ReadU8(Address + 0xC3);
        set => Memory.WriteU8(Address + 0xC3, value);
    }

    public ulong WaitStatus
    {
        get => Memory.ReadU64(Address + 0xC8);
        set => Memory.WriteU64(Address + 0xC8, value);
    }

    public ulong WaitBlockList
    {
        get => Memory.ReadU64(Address + 0xD0);
        set => Memory.WriteU64(Address + 0xD0, value);
    }

    /// <summary>Links a ready thread into its ready list.</summary>
    public ListHead WaitListEntry => new(Memory, Address + 0xD8);

    public ulong Teb
    {
        get => Memory.ReadU64(Address + 0xF0);
        set => Memory.WriteU64(Address + 0xF0, value);
    }

    /// <summary>For waits with a time-out.</summary>
    public Timer Timer => new(Memory, Address + 0x100);

    public uint ContextSwitches
    {
        get => Memory.ReadU32(Address + 0x154);
        set => Memory.WriteU32(Address + 0x154, value);
    }

    public ThreadState State
    {
        get => (ThreadState)Memory.ReadU8(Address + 0x184);
        set => Memory.WriteU8(Address + 0x184, (byte)value);
    }

    public byte WaitIrql
    {
        get => Memory.ReadU8(Address + 0x186);
        set => Memory.WriteU8(Address + 0x186, value);
    }

    public ProcessorMode WaitMode
    {
        get => (ProcessorMode)Memory.ReadU8(Address + 0x187);
        set => Memory.WriteU8(Address + 0x187, (byte)value);
    }

    /// <summary>Tick count when the wait began.</summary>
    public uint WaitTime
    {
        get => Memory.ReadU32(Address + 0x1B4);
        set => Memory.WriteU32(Address + 0x1B4, value);
    }

    /// <summary>Negative inside critical regions.</summary>
    public short KernelApcDisable
    {
        get => (short)Memory.ReadU16(Address + 0x1E4);
        set => Memory.WriteU16(Address + 0x1E4, (ushort)value);
    }

    /// <summary>Negative inside guarded regions.</summary>
    public short SpecialApcDisable
    {
        get => (short)Memory.ReadU16(Address + 0x1E6);
        set => Memory.WriteU16(Address + 0x1E6, (ushort)value);
    }

    public Process Process
    {
        get => new(Memory, Memory.ReadU64(Address + 0x220));
        set => Memory.WriteU64(Address + 0x220, value.Address);
    }

    public ProcessorMode PreviousMode
    {
        get => (ProcessorMode)Memory.ReadU8(Address + 0x232);
        set => Memory.WriteU8(Address + 0x232, (byte)value);
    }

    public byte WaitBlockCount
    {
        get => Memory.ReadU8(Address + 0x24B);
        set => Memory.WriteU8(Address + 0x24B, value);
    }

    public WaitReason WaitReason
    {
        get => (WaitReason)Memory.ReadU8(Address + 0x283);
        set => Memory.WriteU8(Address + 0x283, (byte)value);
    }

    public byte SuspendCount
    {
        get => Memory.ReadU8(Address + 0x284);
        set => Memory.WriteU8(Address + 0x284, value);
    }

    /// <summary>Links KPROCESS.ThreadListHead.</summary>
    public ListHead ThreadListEntryOfKernel => new(Memory, Address + 0x2F8);

    public ulong CreateTime
    {
        get => Memory.ReadU64(Address + 0x430);
        set => Memory.WriteU64(Address + 0x430, value);
    }

    public ulong ExitTime
    {
        get => Memory.ReadU64(Address + 0x438);
        set => Memory.WriteU64(Address + 0x438, value);
    }

    public ulong StartAddress
    {
        get => Memory.ReadU64(Address + 0x450);
        set => Memory.WriteU64(Address + 0x450, value);
    }

    public ulong UniqueProcess
    {
        get => Memory.ReadU64(Address + 0x478);
        set => Memory.WriteU64(Address + 0x478, value);
    }

    public ulong UniqueThread
    {
        get => Memory.ReadU64(Address + 0x480);
        set => Memory.WriteU64(Address + 0x480, value);
    }

    /// <summary>Outstanding IRPs, by IRP.ThreadListEntry.</summary>
    public ListHead IrpList => new(Memory, Address + 0x4B0);

    public ulong Win32StartAddress
    {
        get => Memory.ReadU64(Address + 0x4D0);
        set => Memory.WriteU64(Address + 0x4D0, value);
    }

    /// <summary>Links EPROCESS.ThreadListHead.</summary>
    public ListHead ThreadListEntry => new(Memory, Address + 0x4E8);

    /// <summary>Bit 0 Terminated, bit 4 SystemThread.</summary>
    public uint CrossThreadFlags
    {
        get => Memory.ReadU32(Address + 0x510);
        set => Memory.WriteU32(Address + 0x510, value);
    }

    public NtStatus ExitStatus
    {
        get => new(Memory.ReadU32(Address + 0x548));
        set => Memory.WriteU32(Address + 0x548, value.Value);
    }

    /// <summary>One of the four wait blocks inside the thread.</summary>
    public WaitBlock WaitBlock(int index) => new(Memory, Address + 0x140 + ((ulong)index * 0x30));

    /// <summary>MiscFlags bit 4.</summary>
    public bool Alertable
    {
        get => (Memory.ReadU32(Address + 0x74) & 0x10) != 0;
        set => Memory.WriteU32(Address + 0x74, (Memory.ReadU32(Address + 0x74) & ~0x10u) | (value ? 0x10u : 0));
    }

    public bool Terminated => (CrossThreadFlags & 1) != 0;

    public bool IsSystemThread => (CrossThreadFlags & 0x10) != 0;
}
