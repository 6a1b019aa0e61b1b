using Harness.Core.Nt;
using static Core.Tests.Traces.FakeTrace;

namespace Core.Tests.Traces;

/// <summary>Small traces of every kind, and what chance makes of them.</summary>
internal static class Damage
{
    private static readonly uint[] Edges =
        [0, 1, 2, 7, 8, 15, 16, 31, 32, 47, 48, 71, 72, 73, 79, 80, 0xFF, 0x100, 0x400, 0xFFF, 0x1000, 0x7FFF, 0xFFF8, 0xFFFF, 0x10000, 0x100_0000, 0x100_0001, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFF8, 0xFFFF_FFFF];

    /// <summary>Whole ones; the size of a buffer of each.</summary>
    public static IReadOnlyList<byte[]> Traces() =>
    [
        Scene(TraceCompression.None, 8), Scene(TraceCompression.Xpress, 8), Scene(TraceCompression.None, 4), Scene(TraceCompression.Xpress, 4), RealTrace.LxCore, RealTrace.PrimitiveTypes,
    ];

    /// <summary>Wounds a file in some places, for a moment: the returned action heals it. What is returned may be a part of it.</summary>
    public static (byte[] Damaged, Action Heal) Wound(byte[] file, Chance chance)
    {
        var undo = new List<(int At, byte[] Bytes)>();
        for (var wounds = 1 + chance.Below(4); wounds > 0; wounds--)
        {
            // A header of a buffer, a record's header, or anything that is not unused room.
            var at = chance.Below(file.Length - 8);
            for (var i = 0; i < 64 && file[at] == 0xFF; i++) at = chance.Below(file.Length - 8);
            at = chance.Below(3) switch { 0 => (at & ~0x3FF) + (chance.Below(80) & ~1), 1 => at & ~7, _ => at };
            at = Math.Min(at, file.Length - 8);
            undo.Add((at, file[at..(at + 8)]));
            var word = BitConverter.ToUInt64(file, at);
            BitConverter.GetBytes(chance.Below(8) switch
            {
                0 => 0UL,
                1 => ulong.MaxValue >> chance.Below(64),
                2 => (word & 0xFFFFFFFF_00000000) | Edges[chance.Below(Edges.Length)],
                3 => (word & 0xFFFFFFFF_FFFF0000) | (ushort)Edges[chance.Below(Edges.Length)],
                4 => word ^ (1UL << chance.Below(64)),
                5 => word + (ulong)chance.Below(0x100) - 0x80,
                6 => chance.Next(),
                _ => BitConverter.ToUInt64(file, chance.Below(file.Length - 8)),
            }).CopyTo(file, at);
        }

        undo.Reverse();
        return (chance.Below(16) == 0 ? file[..chance.Below(file.Length + 1)] : file, () => undo.ForEach(wound => wound.Bytes.CopyTo(file, wound.At)));
    }

    /// <summary>Two processors, and a record of every kind.</summary>
    private static byte[] Scene(TraceCompression compression, int pointer)
    {
        var provider = new Guid("11223344-1111-2222-3333-445566778899");
        TraceRecordType Type(TraceRecordType narrow, TraceRecordType wide) => pointer == 4 ? narrow : wide;
        var system = Type(TraceRecordType.System32, TraceRecordType.System64);
        var perf = Type(TraceRecordType.PerfInfo32, TraceRecordType.PerfInfo64);
        byte[] process = [.. Words(0xFFFF8A00_00001000), .. Words(0x0000_0004_0000_0198, 0x0000_0103_0000_0001, 0x1AD000), 0, 0, 0, 0, 0, 0, 0, 0, .. "victim.exe\0"u8, .. new byte[8]];
        byte[] thread = [.. Words(0x0000_019C_0000_0198), .. Words(1, 2, 3, 4, 5, 6, 7), .. Words(0)];
        byte[] image = [.. Words(0xFFFFF803_20000000, 0x6000, 0x1234_0000_0000, 0), .. Words(0, 0, 0), .. System.Text.Encoding.Unicode.GetBytes("\\Driver\\a.sys\0")];
        return new FakeTrace(1024) { Header = LogfileHeader(pointer), Compression = compression }
            .Buffer(0, 0, Kernel(system, KernelTraceEvents.Extension, 1000, new byte[36]))
            .Buffer(0, 1, Kernel(perf, KernelTraceEvents.ProcessDCStart, 1001, process, version: 4), Kernel(system, KernelTraceEvents.ThreadStart, 1002, thread, version: 3), Kernel(system, KernelTraceEvents.ImageLoad, 1003, image, version: 3))
            .Buffer(1, 3, Kernel(perf, KernelTraceEvents.ContextSwitch, 1010, new byte[24], version: 4), Kernel(perf, KernelTraceEvents.StackWalkKeyKernel, 1011, Words(1010, 0x0000_019C_0000_0198, 77)), Kernel(perf, KernelTraceEvents.StackWalkKeyDelete, 1030, Words(77, 0xFFFFF803_20001000, 0xFFFFF803_20002000)), Message(provider, 5, 1031, [1, 2]), Message(provider, 6, null, [3]))
            .Buffer(1, 2, Kernel(perf, KernelTraceEvents.ReadyThread, 1004, new byte[8]), Kernel(perf, KernelTraceEvents.DriverMajorFunctionCall, 1005, new byte[36]), Kernel(perf, KernelTraceEvents.StackWalk, 1006, Words(1005, 0x0000_019C_0000_0198, 0xFFFFF803_20001000)))
            .Buffer(0, 4, Classic(Type(TraceRecordType.FullHeader32, TraceRecordType.FullHeader64), KernelTraceGroups.ImageId, 36, 1040, new byte[40]), Classic(Type(TraceRecordType.Instance32, TraceRecordType.Instance64), provider, 1, 1041, [1]), Manifest(Type(TraceRecordType.EventHeader32, TraceRecordType.EventHeader64), provider, 7, 1042, [1, 2, 3], (1, new byte[16]), (6, new byte[24])))
            .Buffer(0, 5, Kernel(perf, 0x0F2E, 1050, [.. Words(1, 2), .. new byte[16]], version: 0x8102), Kernel(system, KernelTraceEvents.ProcessTerminate, 1051, [0x98, 1, 0, 0]), Kernel(system, KernelTraceEvents.ProcessEnd, 1052, process, version: 4))
            .File();
    }
}
