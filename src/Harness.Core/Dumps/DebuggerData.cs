using System.Buffers.Binary;
using System.Numerics;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>
/// KDDEBUGGER_DATA64 ("KDBG", wdbgexts.h): what the kernel tells debuggers about itself, and so a witness against the layout table. Memory that
/// was not written by Windows holds it encoded; which constants undo that is known for the kernels in the symbol table and for those whose PDB is given.
/// </summary>
internal sealed class DebuggerData
{
    private const uint Tag = 0x4742444B;

    private const int Length = KdDebuggerDataLayout.SizeInBytes;

    private readonly byte[] _bytes;

    private DebuggerData(byte[] bytes) => _bytes = bytes;

    public KernelAddress KernelBase => Pointer(KdDebuggerDataLayout.KernBase);

    public KernelAddress LoadedModuleList => Pointer(KdDebuggerDataLayout.PsLoadedModuleList);

    public KernelAddress ActiveProcessHead => Pointer(KdDebuggerDataLayout.PsActiveProcessHead);

    /// <summary>The variable PspCidTable.</summary>
    public KernelAddress ProcessIdTable => Pointer(KdDebuggerDataLayout.PspCidTable);

    /// <summary>The block at this address; null when there is none, and then <paramref name="why"/> is a clause.</summary>
    public static DebuggerData? Read(KernelMemoryReader memory, KernelAddress at, MappedImage? kernel, IImageSymbols? symbols, out string why)
    {
        why = "";
        var bytes = new byte[Length];
        if (!memory.TryRead(at, bytes))
        {
            why = "is not in memory";
            return null;
        }

        if (IsPlain(bytes)) return new DebuggerData(bytes);
        var table = NtSymbols.OfPdb(kernel?.Pdb ?? "");
        uint? Symbol(string name) => symbols?.AddressOf(name) ?? table[name];
        if (kernel is null || Symbol("KiWaitNever") is not { } waitNever || Symbol("KiWaitAlways") is not { } waitAlways || Symbol("KdpDataBlockEncoded") is not { } encoded)
        {
            why = $"is encoded, and the constants of this kernel (PDB {(kernel is { Pdb.Length: > 0 } ? kernel.Pdb : "unknown")}) are not known";
            return null;
        }

        if (memory.UInt64(kernel.Base + waitNever) is not { } never || memory.UInt64(kernel.Base + waitAlways) is not { } always)
        {
            why = "is encoded, and what decodes it is not in memory";
            return null;
        }

        Decode(bytes, never, always, kernel.Base + encoded);
        if (IsPlain(bytes)) return new DebuggerData(bytes);
        why = "is neither plain nor encoded as the kernel encodes it";
        return null;
    }

    /// <summary>Where the layout says otherwise than the kernel does: "KTHREAD.KernelStack is at 0x58, not at 0x60"; null when they agree.</summary>
    public string? Contradicts(NtLayout layout)
    {
        (string Field, int At, uint Table)[] fields =
        [
            ("KTHREAD.Teb", KdDebuggerDataLayout.OffsetKThreadTeb, layout.KThread.Teb),
            ("KTHREAD.KernelStack", KdDebuggerDataLayout.OffsetKThreadKernelStack, layout.KThread.KernelStack),
            ("KTHREAD.InitialStack", KdDebuggerDataLayout.OffsetKThreadInitialStack, layout.KThread.InitialStack),
            ("KTHREAD.ApcState.Process", KdDebuggerDataLayout.OffsetKThreadApcProcess, layout.KThread.ApcState + layout.ApcState.Process),
            ("KTHREAD.State", KdDebuggerDataLayout.OffsetKThreadState, layout.KThread.State),
            ("EPROCESS.Peb", KdDebuggerDataLayout.OffsetEprocessPeb, layout.EProcess.Peb),
            ("EPROCESS.InheritedFromUniqueProcessId", KdDebuggerDataLayout.OffsetEprocessParentCid, layout.EProcess.InheritedFromUniqueProcessId),
            ("KPROCESS.DirectoryTableBase", KdDebuggerDataLayout.OffsetEprocessDirectoryTableBase, layout.KProcess.DirectoryTableBase),
        ];
        foreach (var (field, at, table) in fields)
        {
            var told = BinaryPrimitives.ReadUInt16LittleEndian(_bytes.AsSpan(at));
            // Some writers leave them out.
            if (told != 0 && told != table) return $"{field} is at 0x{told:x}, not at 0x{table:x}";
        }

        return null;
    }

    private static bool IsPlain(byte[] bytes) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(KdDebuggerDataLayout.OwnerTag)) == Tag;

    /// <summary>In 64-bit words; the cipher is published with QEMU's elf2dmp.</summary>
    private static void Decode(byte[] bytes, ulong never, ulong always, KernelAddress encodedFlag)
    {
        for (var at = 0; at < bytes.Length; at += 8)
        {
            var word = BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at));
            word = BitOperations.RotateLeft(word ^ never, (byte)never) ^ encodedFlag.Value;
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), BinaryPrimitives.ReverseEndianness(word) ^ always);
        }
    }

    private KernelAddress Pointer(int at) => new(BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(at)));
}
