using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>DISPATCHER_CONTEXT of x64 (winnt.h): what a language handler is told of the frame it is asked about.</summary>
internal readonly record struct DispatcherContext(GuestMemory Memory, ulong Address)
{
    public const uint Size = 0x50;

    public ulong ControlPc
    {
        get => Memory.ReadU64(Address);
        set => Memory.WriteU64(Address, value);
    }

    public ulong ImageBase
    {
        get => Memory.ReadU64(Address + 8);
        set => Memory.WriteU64(Address + 8, value);
    }

    public ulong FunctionEntry
    {
        set => Memory.WriteU64(Address + 0x10, value);
    }

    public ulong EstablisherFrame
    {
        get => Memory.ReadU64(Address + 0x18);
        set => Memory.WriteU64(Address + 0x18, value);
    }

    public ulong TargetIp
    {
        get => Memory.ReadU64(Address + 0x20);
        set => Memory.WriteU64(Address + 0x20, value);
    }

    public ContextRecord ContextRecord
    {
        get => new(Memory, Memory.ReadU64(Address + 0x28));
        set => Memory.WriteU64(Address + 0x28, value.Address);
    }

    public ulong LanguageHandler
    {
        get => Memory.ReadU64(Address + 0x30);
        set => Memory.WriteU64(Address + 0x30, value);
    }

    public ulong HandlerData
    {
        get => Memory.ReadU64(Address + 0x38);
        set => Memory.WriteU64(Address + 0x38, value);
    }

    public ulong HistoryTable
    {
        get => Memory.ReadU64(Address + 0x40);
        set => Memory.WriteU64(Address + 0x40, value);
    }

    /// <summary>From which scope a termination handler's search goes on after a collided unwind.</summary>
    public uint ScopeIndex
    {
        get => Memory.ReadU32(Address + 0x48);
        set => Memory.WriteU32(Address + 0x48, value);
    }
}
