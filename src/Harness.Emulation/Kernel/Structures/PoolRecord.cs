using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>
/// What is remembered of an allocation: whose it was, and who freed it. Windows has no such thing outside Driver Verifier; here each block's
/// header (+8, where Windows has ProcessBilled) points to one, and all of them lie one after another.
/// </summary>
internal readonly record struct PoolRecord(GuestMemory Memory, ulong Address)
{
    /// <summary>Return addresses that are kept of a stack.</summary>
    public const int MostFrames = 8;

    public const ulong Size = 0x30 + (2 * StackSize);

    private const ulong StackSize = 8 + (MostFrames * 8);

    public ulong Block
    {
        get => Memory.ReadU64(Address);
        set => Memory.WriteU64(Address, value);
    }

    /// <summary>In bytes, as asked for.</summary>
    public ulong Length
    {
        get => Memory.ReadU64(Address + 8);
        set => Memory.WriteU64(Address + 8, value);
    }

    public uint Tag
    {
        get => Memory.ReadU32(Address + 0x10);
        set => Memory.WriteU32(Address + 0x10, value);
    }

    public bool IsPaged
    {
        get => Memory.ReadU8(Address + 0x14) != 0;
        set => Memory.WriteU8(Address + 0x14, value ? (byte)1 : (byte)0);
    }

    public bool IsFreed
    {
        get => Memory.ReadU8(Address + 0x15) != 0;
        set => Memory.WriteU8(Address + 0x15, value ? (byte)1 : (byte)0);
    }

    /// <summary>The first byte of the image of the driver that has to see it freed; 0: none has.</summary>
    public ulong Owner
    {
        get => Memory.ReadU64(Address + 0x18);
        set => Memory.WriteU64(Address + 0x18, value);
    }

    /// <summary>Return addresses, innermost first; none when nt allocated for itself.</summary>
    public IReadOnlyList<ulong> AllocatedBy
    {
        get => Stack(Address + 0x20);
        set => SetStack(Address + 0x20, value);
    }

    /// <summary>Return addresses, innermost first.</summary>
    public IReadOnlyList<ulong> FreedBy
    {
        get => Stack(Address + 0x20 + StackSize);
        set => SetStack(Address + 0x20 + StackSize, value);
    }

    private List<ulong> Stack(ulong at)
    {
        var frames = new List<ulong>();
        for (var i = 0ul; i < Memory.ReadU64(at); i++) frames.Add(Memory.ReadU64(at + 8 + (i * 8)));
        return frames;
    }

    private void SetStack(ulong at, IReadOnlyList<ulong> frames)
    {
        var count = Math.Min(frames.Count, MostFrames);
        Memory.WriteU64(at, (ulong)count);
        for (var i = 0; i < count; i++) Memory.WriteU64(at + 8 + ((ulong)i * 8), frames[i]);
    }
}
