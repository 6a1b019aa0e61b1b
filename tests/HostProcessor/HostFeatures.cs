using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Iced.Intel;

namespace HostProcessor;

/// <summary>What the processor of this machine has of what the interpreter models beyond the first x64 processors.</summary>
internal static class HostFeatures
{
    /// <summary>What it calls itself.</summary>
    public static string Processor
    {
        get
        {
            var name = new StringBuilder();
            for (var leaf = 0; leaf < 3; leaf++)
            {
                var (a, b, c, d) = X86Base.CpuId(unchecked((int)0x8000_0002) + leaf, 0);
                name.Append(Encoding.ASCII.GetString(MemoryMarshal.AsBytes<int>([a, b, c, d])));
            }
            return name.ToString().TrimEnd('\0').Trim();
        }
    }

    /// <summary>Without these, instructions fault or do something else; they are not tried.</summary>
    public static IReadOnlySet<CpuidFeature> Missing { get; } = Find();

    private static HashSet<CpuidFeature> Find()
    {
        var missing = new HashSet<CpuidFeature>();
        var (_, _, basic, _) = X86Base.CpuId(1, 0);
        var (_, extended, _, _) = X86Base.CpuId(7, 0);
        var (_, _, amd, _) = X86Base.CpuId(unchecked((int)0x8000_0001), 0);
        Need(basic, 0, CpuidFeature.SSE3);
        Need(basic, 9, CpuidFeature.SSSE3);
        Need(basic, 13, CpuidFeature.CMPXCHG16B);
        Need(basic, 19, CpuidFeature.SSE4_1);
        Need(basic, 20, CpuidFeature.SSE4_2);
        Need(basic, 22, CpuidFeature.MOVBE);
        Need(basic, 23, CpuidFeature.POPCNT);
        Need(extended, 3, CpuidFeature.BMI1);
        Need(extended, 8, CpuidFeature.BMI2);
        Need(extended, 19, CpuidFeature.ADX);
        Need(amd, 5, CpuidFeature.LZCNT);
        Need(amd, 8, CpuidFeature.PREFETCHW);
        return missing;

        void Need(int register, int bit, CpuidFeature feature)
        {
            if ((register >> bit & 1) == 0) missing.Add(feature);
        }
    }
}
