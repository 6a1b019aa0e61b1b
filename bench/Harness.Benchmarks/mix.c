/*
 * The instructions that benchmarks execute: eleven functions as drivers contain them, again and again. The functions are those of the
 * interpreter's tests. Built by build.sh.
 */
#include "../../tests/Emulation.Tests/Cpu/RealCode/functions.c"

/* Scratch: 16 KiB whose first bytes are any; the result depends on all that was done. */
EXPORT u64 Mix(u8 *scratch, u64 rounds)
{
    u64 result = 0;
    u8 *other = scratch + 0x2000;
    for (u64 round = 0; round < rounds; round++) {
        for (u64 i = 0; i < 2048; i++)
            scratch[i] = (u8)(scratch[i] * 5 + i + round);
        result = result * 31 + Crc32(scratch, 512);
        result = result * 31 + Fnv1a(scratch, 2048);
        result = result * 31 + Sums((const i16 *)scratch, 1024);
        memcpy(other, scratch, 2048);
        AddBytes(other, scratch, 1000);
        result = result * 31 + DotProduct((const i32 *)scratch, (const i32 *)other, 500);
        QuickSort((i32 *)scratch, 0, 255);
        result = result * 31 + ToHex((char *)other, result);
        result = result * 31 + (u64)Find((const char *)other, "zz");
        for (u64 i = 0; i < 64; i++) {
            result += SwitchTable(i % 15, result);
            result ^= (u64)Bitfields(result, (i64)i);
            result += DivideUnsigned(result, i + 3) + MultiplyHigh(result, i);
        }
        result = result * 31 + Lists(64);
        result = result * 31 + (u64)Recursion(10);
    }
    return result;
}
