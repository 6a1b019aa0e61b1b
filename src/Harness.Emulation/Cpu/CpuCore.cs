using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Cpu;

/// <summary>What the run loop does when an instruction has no next one at hand.</summary>
internal enum After
{
    /// <summary>The instruction did not happen; the exit says why.</summary>
    Refused,

    /// <summary>It happened, Rip is where to go on, and the exit says why to stop.</summary>
    Stop,

    /// <summary>It happened; go on at Rip.</summary>
    Continue,

    /// <summary>There was no instruction here, only the end of a decoded block; go on at Rip.</summary>
    Seam,
}

/// <summary>
/// What instructions work on: the registers, the arithmetic flags in the form they are computed in, and the way to memory.
/// <para>
/// Flags: <see cref="FlagResult"/> is the last result and <see cref="FlagCarry"/> the carries (or borrows) out of each bit, both
/// shifted left until the operand's sign bit is bit 63. ZF and SF are read off the result, PF off its low byte, CF, OF (carry into the
/// sign bit differs from the carry out of it) and AF (out of bit 3) off the carries. <see cref="FlagForm"/> has that shift in bits 0–5;
/// bits 8 and 9 invert SF and PF, for flags that came from popfq or sahf and fit no result.
/// </para>
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CpuCore
{
    public const uint InvertSign = 0x100;
    public const uint InvertParity = 0x200;

    private const ulong Poison = 0x8080_8080_8080_8080;

    public CpuState State;

    public ulong FlagResult;
    public ulong FlagCarry;
    public ulong FlagForm;

    /// <summary>Always zero: the base, index or segment an address doesn't have.</summary>
    public ulong Zero;

    /// <summary>The address of an operand with 32-bit addressing.</summary>
    public ulong Address32;

    public Translation* Translations;
    public After After;
    public CpuExitKind Exit;
    public ulong ExitAddress;
    public ulong ExitDetail;
    public nint Owner;

    /// <summary>Where a read-modify-write of an operand on two pages works; see <see cref="Commit"/>.</summary>
    public ulong BounceAddress;
    public fixed byte Bounce[16];

    public readonly bool Cf => (long)FlagCarry < 0;

    public readonly bool Zf => FlagResult == 0;

    public readonly bool Sf => (((FlagResult >> 63) ^ (FlagForm >> 8)) & 1) != 0;

    public readonly bool Of => (long)(FlagCarry ^ (FlagCarry << 1)) < 0;

    public readonly bool Af => ((FlagCarry >> (int)(FlagForm & 63)) & 8) != 0;

    public readonly bool Pf => ((BitOperations.PopCount((FlagResult >> (int)(FlagForm & 63)) & 0xFF) + 1 + (int)(FlagForm >> 9)) & 1) != 0;

    /// <summary>The arithmetic flags as RFLAGS has them.</summary>
    public ulong ArithmeticFlags
    {
        readonly get => (Cf ? 1UL : 0) | (Pf ? 4UL : 0) | (Af ? 0x10UL : 0) | (Zf ? 0x40UL : 0) | (Sf ? 0x80UL : 0) | (Of ? 0x800UL : 0);
        set
        {
            // A result of 0 or 0x100 has PF set and SF clear.
            FlagResult = (value & 0x40) != 0 ? 0UL : 0x100;
            FlagForm = ((value & 0x80) != 0 ? InvertSign : 0) | ((value & 4) == 0 ? InvertParity : 0UL);
            FlagCarry = (value & 0x10) >> 1;
            SetCarryAndOverflow(value & 1, (value >> 11) & 1);
        }
    }

    /// <summary>Flags of a result with carries; all six.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void SetFlags<W>(ulong result, ulong carries)
        where W : struct, IWidth
    {
        FlagResult = result << Width<W>.Shift;
        FlagCarry = carries << Width<W>.Shift;
        FlagForm = (ulong)Width<W>.Shift;
    }

    /// <summary>Flags of a result, with CF and OF (0 or 1) given and AF clear.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void SetFlags<W>(ulong result, ulong carry, ulong overflow)
        where W : struct, IWidth
    {
        FlagResult = result << Width<W>.Shift;
        FlagCarry = (carry << 63) | ((carry ^ overflow) << 62);
        FlagForm = (ulong)Width<W>.Shift;
    }

    /// <summary>CF and OF (0 or 1); the others stay.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void SetCarryAndOverflow(ulong carry, ulong overflow) =>
        FlagCarry = (FlagCarry & ~(3UL << 62)) | (carry << 63) | ((carry ^ overflow) << 62);

    /// <summary>CF (0 or 1); the others stay.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void SetCarry(ulong carry)
    {
        // Bit 62 is the carry into the sign bit: OF is where it differs from the carry out of it.
        var change = (FlagCarry >> 63) ^ carry;
        FlagCarry ^= (change << 63) | (change << 62);
    }

    /// <summary>The address of the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong AddressOf(CpuCore* c, Op* op) =>
        *(ulong*)((byte*)c + op->Base) + (*(ulong*)((byte*)c + op->Index) << op->Scale) + *(ulong*)((byte*)c + op->Segment) + op->Displacement;

    /// <summary>The host's address of bytes a guest instruction reads; null when it may not (the exit is set).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Readable<W>(CpuCore* c, ulong address)
        where W : struct, IWidth
    {
        var entry = TranslationBuffer.EntryOf(c->Translations, address);
        if (((address + (ulong)(W.Bytes - 1)) & TranslationBuffer.PageMask) == entry->ReadTag)
        {
            var at = (byte*)((nint)address + entry->Addend);
            if ((W.Load(at + PageFrames.ShadowOffset) & Poison) == 0) return at;
        }
        return ReadableSlowly(c, address, W.Bytes);
    }

    /// <summary>
    /// The host's address of bytes a guest instruction reads and writes, or only writes; null when it may not. After writing, call
    /// <see cref="Commit"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Writable<W>(CpuCore* c, ulong address)
        where W : struct, IWidth
    {
        var entry = TranslationBuffer.EntryOf(c->Translations, address);
        if (((address + (ulong)(W.Bytes - 1)) & TranslationBuffer.PageMask) == entry->WriteTag)
        {
            var at = (byte*)((nint)address + entry->Addend);
            if ((W.Load(at + PageFrames.ShadowOffset) & Poison) == 0)
            {
                // What is stored is defined from now on.
                W.Store(at + PageFrames.ShadowOffset, 0);
                return at;
            }
        }
        return WritableSlowly(c, address, W.Bytes);
    }

    /// <summary>Ends a write: an operand on two pages was written aside and goes to its place now.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Commit<W>(CpuCore* c, byte* written)
        where W : struct, IWidth
    {
        if (written == c->Bounce) WriteBounce(c, W.Bytes);
    }

    /// <summary>Sixteen bytes to read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Readable16(CpuCore* c, ulong address)
    {
        var entry = TranslationBuffer.EntryOf(c->Translations, address);
        if (((address + 15) & TranslationBuffer.PageMask) == entry->ReadTag)
        {
            var at = (byte*)((nint)address + entry->Addend);
            var shadow = (ulong*)(at + PageFrames.ShadowOffset);
            if (((shadow[0] | shadow[1]) & Poison) == 0) return at;
        }
        return ReadableSlowly(c, address, 16);
    }

    /// <summary>Sixteen bytes to write; then <see cref="Commit16"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Writable16(CpuCore* c, ulong address)
    {
        var entry = TranslationBuffer.EntryOf(c->Translations, address);
        if (((address + 15) & TranslationBuffer.PageMask) == entry->WriteTag)
        {
            var at = (byte*)((nint)address + entry->Addend);
            var shadow = (ulong*)(at + PageFrames.ShadowOffset);
            if (((shadow[0] | shadow[1]) & Poison) == 0)
            {
                shadow[0] = shadow[1] = 0;
                return at;
            }
        }
        return WritableSlowly(c, address, 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Commit16(CpuCore* c, byte* written)
    {
        if (written == c->Bounce) WriteBounce(c, 16);
    }

    /// <summary>The instruction does not happen.</summary>
    public static Op* Refuse(CpuCore* c, CpuExitKind kind, ulong address = 0, ulong detail = 0)
    {
        c->After = After.Refused;
        c->Exit = kind;
        c->ExitAddress = address;
        c->ExitDetail = detail;
        return null;
    }

    /// <summary>The instruction happened; the run stops after it.</summary>
    public static Op* Stop(CpuCore* c, Op* op, CpuExitKind kind)
    {
        c->State.Rip = op->NextRip;
        c->After = After.Stop;
        c->Exit = kind;
        c->ExitAddress = 0;
        c->ExitDetail = 0;
        return null;
    }

    /// <summary>The instruction happened and goes to an address that may not be decoded yet.</summary>
    public static Op* GoTo(CpuCore* c, ulong address)
    {
        c->State.Rip = address;
        c->After = After.Continue;
        return OwnerOf(c).Code.FindDecoded(address);
    }

    public static Cpu OwnerOf(CpuCore* c) => Unsafe.As<Cpu>(GCHandle.FromIntPtr(c->Owner).Target!);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static byte* ReadableSlowly(CpuCore* c, ulong address, int size)
    {
        var memory = OwnerOf(c).Memory;
        if (!Allowed(c, memory, address, size, write: false)) return null;
        memory.Read(address, new Span<byte>(c->Bounce, size));
        return c->Bounce;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static byte* WritableSlowly(CpuCore* c, ulong address, int size)
    {
        var memory = OwnerOf(c).Memory;
        if (!Allowed(c, memory, address, size, write: true)) return null;
        memory.Read(address, new Span<byte>(c->Bounce, size));
        c->BounceAddress = address;
        return c->Bounce;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void WriteBounce(CpuCore* c, int size) =>
        OwnerOf(c).Memory.Write(c->BounceAddress, new ReadOnlySpan<byte>(c->Bounce, size));

    private static bool Allowed(CpuCore* c, GuestMemory memory, ulong address, int size, bool write)
    {
        var refusal = memory.Check(address, size, write, (int)c->State.Cr8);
        if (refusal.By == RefusedBy.Nothing) return true;
        Refuse(c, refusal.By switch
        {
            RefusedBy.Paging => CpuExitKind.PageFault,
            RefusedBy.Shadow => CpuExitKind.ShadowViolation,
            RefusedBy.Irql => CpuExitKind.PageableAtDispatch,
            _ => CpuExitKind.GeneralProtection,
        }, refusal.Address, refusal.Detail);
        return false;
    }
}
