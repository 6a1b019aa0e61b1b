using System.Text;
using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>
/// TRIAGE_DUMP64, the body of a kernel minidump: pieces of virtual memory, a processor's block, one thread with its process and stack. Whatever
/// the thread that crashed did not touch is not there.
/// </summary>
internal static class TriageDump
{
    private const uint At = CrashDump.HeaderSize;
    private const uint BlockSize = 16;

    public static MachineMemory Read(FileBytes file, MachineMemory header)
    {
        if (file.UInt32(At + 0x7C) is not { } count) throw Truncated.At(At + 0x80, file.Length);
        var valid = Word(0x08);
        Span<byte> mark = stackalloc byte[4];
        if (!file.TryRead(valid, mark)) throw Truncated.At((ulong)valid + 4, file.Length);
        if (Encoding.Latin1.GetString(mark) != "TRGD") throw new UnusableDumpException("is damaged: the mark 'TRGD' that ends a kernel minidump is not where its header says");

        var table = Word(0x78);
        if ((ulong)table + ((ulong)count * BlockSize) > (ulong)file.Length) throw Truncated.At((ulong)table + ((ulong)count * BlockSize), file.Length);
        var blocks = new List<VirtualBlock>();
        for (uint i = 0; i < count; i++)
        {
            var entry = table + ((ulong)i * BlockSize);
            Add(new KernelAddress(file.UInt64(entry)!.Value), file.UInt32(entry + 12)!.Value, file.UInt32(entry + 8)!.Value);
        }

        Add(new KernelAddress(file.UInt64(At + 0x48)!.Value), Word(0x2C), Word(0x28));
        Add(new KernelAddress(file.UInt64(At + 0x60)!.Value), Word(0x6C), Word(0x68));
        Add(header.DebuggerData, Word(0x74), Word(0x70));
        AddThread();
        return header with { Kind = "kernel minidump (triage)", Memory = new BlockMemory(file, blocks) };

        uint Word(uint offset) => file.UInt32(At + offset)!.Value;

        void Add(KernelAddress address, uint length, uint offset)
        {
            // Only what the kernel's half has, and what the file has.
            if (address.IsKernel && length != 0 && (ulong)offset + length <= (ulong)file.Length && ulong.MaxValue - address.Value >= length) blocks.Add(new VirtualBlock(address, length, offset));
        }

        // Copies whose addresses only the structures before them tell: KPRCB.CurrentThread, KTHREAD.Process.
        void AddThread()
        {
            var layout = NtLayout.ForBuild(header.Build);
            if (layout.Prcb is not { } prcb || Word(0x1C) == 0 || Word(0x24) == 0) return;
            if (file.UInt64(Word(0x1C) + (ulong)prcb.CurrentThread) is not { } thread) return;
            Add(new KernelAddress(thread), layout.EThread.SizeInBytes, Word(0x24));
            if (file.UInt64(Word(0x24) + (ulong)layout.KThread.Process) is { } process) Add(new KernelAddress(process), layout.EProcess.SizeInBytes, Word(0x20));
        }
    }
}
