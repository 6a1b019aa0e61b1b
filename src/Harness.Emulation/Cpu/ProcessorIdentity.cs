namespace Harness.Emulation.Cpu;

/// <summary>
/// What cpuid answers: always the same processor, whatever the host. It has what <see cref="Selection"/> models and no more:
/// SSE to SSE4.2, popcnt, movbe, cmpxchg16b, lzcnt, BMI1, BMI2, ADX; no AVX, no AES, no XSAVE, no RDRAND.
/// </summary>
internal static class ProcessorIdentity
{
    private const uint LastBasic = 7;
    private const uint LastExtended = 0x8000_0008;

    public static (uint Eax, uint Ebx, uint Ecx, uint Edx) Leaf(uint leaf) => leaf switch
    {
        // "GenuineIntel" in ebx, edx, ecx.
        0 => (LastBasic, 0x756E_6547, 0x6C65_746E, 0x4965_6E69),
        // Family 6, model 26, stepping 5. clflush line of 64 bytes.
        // ecx: SSE3, SSSE3, CX16, SSE4.1, SSE4.2, MOVBE, POPCNT. edx: FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2.
        1 => (0x0001_06A5, 0x0000_0800, 0x00D8_2201, 0x078B_FBFF),
        // ebx: BMI1, BMI2, ERMS (rep movsb and stosb are fast), ADX.
        7 => (0, 0x0008_0308, 0, 0),
        0x8000_0000 => (LastExtended, 0, 0, 0),
        // ecx: LAHF, LZCNT, PREFETCHW. edx: SYSCALL, NX, 1-GB pages, RDTSCP, long mode.
        0x8000_0001 => (0, 0, 0x121, 0x2C10_0800),
        0x8000_0002 => Text("Emulated x64 pro"),
        0x8000_0003 => Text("cessor"),
        0x8000_0004 => Text(""),
        // edx: the time-stamp counter runs at one rate.
        0x8000_0007 => (0, 0, 0, 0x100),
        // 48 bits of physical and of virtual address.
        0x8000_0008 => (0x3030, 0, 0, 0),
        _ => (0, 0, 0, 0),
    };

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Text(string text) => (Four(text, 0), Four(text, 4), Four(text, 8), Four(text, 12));

    private static uint Four(string text, int at)
    {
        var word = 0U;
        for (var i = 0; i < 4; i++) word |= (at + i < text.Length ? text[at + i] : 0U) << (8 * i);
        return word;
    }
}
