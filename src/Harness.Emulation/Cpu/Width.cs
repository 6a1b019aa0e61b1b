using System.Runtime.CompilerServices;

namespace Harness.Emulation.Cpu;

/// <summary>The size of an integer operand. Values travel as 64-bit numbers whose upper bits are zero when loaded and ignored when stored.</summary>
internal unsafe interface IWidth
{
    static abstract int Bytes { get; }

    static abstract ulong Load(byte* at);

    /// <summary>To memory, or to part of a register.</summary>
    static abstract void Store(byte* at, ulong value);

    /// <summary>To a register: a 32-bit result clears the upper half, smaller ones leave the rest.</summary>
    static abstract void Put(byte* register, ulong value);
}

internal readonly unsafe struct W8 : IWidth
{
    public static int Bytes => 1;

    public static ulong Load(byte* at) => *at;

    public static void Store(byte* at, ulong value) => *at = (byte)value;

    public static void Put(byte* register, ulong value) => *register = (byte)value;
}

internal readonly unsafe struct W16 : IWidth
{
    public static int Bytes => 2;

    public static ulong Load(byte* at) => *(ushort*)at;

    public static void Store(byte* at, ulong value) => *(ushort*)at = (ushort)value;

    public static void Put(byte* register, ulong value) => *(ushort*)register = (ushort)value;
}

internal readonly unsafe struct W32 : IWidth
{
    public static int Bytes => 4;

    public static ulong Load(byte* at) => *(uint*)at;

    public static void Store(byte* at, ulong value) => *(uint*)at = (uint)value;

    public static void Put(byte* register, ulong value) => *(ulong*)register = (uint)value;
}

internal readonly unsafe struct W64 : IWidth
{
    public static int Bytes => 8;

    public static ulong Load(byte* at) => *(ulong*)at;

    public static void Store(byte* at, ulong value) => *(ulong*)at = value;

    public static void Put(byte* register, ulong value) => *(ulong*)register = value;
}

/// <summary>Numbers that follow from a width. Constants, if only the JIT inlines them: they are a byte too long for it to do so unasked.</summary>
internal static class Width<T>
    where T : struct, IWidth
{
    public static int Bits
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => T.Bytes * 8;
    }

    /// <summary>How far to the left the value must go for its sign bit to be bit 63.</summary>
    public static int Shift
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => 64 - (T.Bytes * 8);
    }

    public static ulong Mask
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => ulong.MaxValue >> (64 - (T.Bytes * 8));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Signed(ulong value) => (long)(value << (64 - (T.Bytes * 8))) >> (64 - (T.Bytes * 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong SignBit(ulong value) => (value >> ((T.Bytes * 8) - 1)) & 1;
}
