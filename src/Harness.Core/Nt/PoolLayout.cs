namespace Harness.Core.Nt;

/// <summary>
/// POOL_HEADER of x64, right before a pool block that is smaller than a page; offsets in bytes (public symbols; the same in every build since
/// Windows 7). Blocks begin at multiples of <see cref="Alignment"/>.
/// </summary>
public static class PoolHeaderLayout
{
    public const int SizeInBytes = 0x10;
    public const int Alignment = 0x10;

    /// <summary>8 bits: the block's length in units of <see cref="Alignment"/>, header included.</summary>
    public const int BlockSize = 2;

    /// <summary>8 bits; 0 in a block that is free.</summary>
    public const int PoolType = 3;

    /// <summary>Four characters.</summary>
    public const int PoolTag = 4;
}

/// <summary>_HANDLE_TABLE and its entries (public symbols; the same in every build from 14393 to 26100); offsets in bytes.</summary>
public static class HandleTableLayout
{
    /// <summary>The address of the top table; its low two bits are the number of levels above the entries: 0, 1 or 2.</summary>
    public const uint TableCode = 8;

    /// <summary>Entries take 16 bytes, 256 of them a page. The first of each page is not a handle's.</summary>
    public const int EntrySize = 0x10;

    /// <summary>From one handle to the next.</summary>
    public const uint HandleStep = 4;

    /// <summary>
    /// HANDLE_TABLE_ENTRY.ObjectPointerBits: bits 20…63 of the entry's first word are bits 4…47 of the OBJECT_HEADER's address, or, in the
    /// table of process and thread IDs (PspCidTable), of the object's own. Null: no handle.
    /// </summary>
    public static KernelAddress Pointer(ulong entry) => entry >> 20 == 0 ? KernelAddress.Null : new((entry >> 20 << 4) | 0xFFFF_0000_0000_0000);
}
