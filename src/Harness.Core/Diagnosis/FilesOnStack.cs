using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// Files that a dying thread works on, found as pointers on its stack. When a process hangs in handle rundown the handle of the file is gone
/// from the table already and the IRP is on no thread's list (zombie-proof.md, the third kind): only the stack still leads there. A pointer
/// counts only when it leads to a FILE_OBJECT that has outstanding IRPs of its own.
/// </summary>
internal sealed class FilesOnStack(KernelMemoryReader memory, NtLayout layout, ObjectNames names)
{
    /// <summary>Objects come from pool, whose blocks are 16-byte aligned; their headers are a multiple of 16 too.</summary>
    private const ulong Alignment = 16;

    /// <summary>The files, from the innermost frame outwards.</summary>
    /// <param name="from">Where the stack is in use from: KTHREAD.KernelStack.</param>
    /// <param name="stack">Its bounds.</param>
    /// <param name="absent">How many pointers lead to memory that is not there, where a file might have been.</param>
    public IReadOnlyList<KernelAddress> Find(KernelAddress from, StackBounds stack, out int absent)
    {
        absent = 0;
        if (!stack.Contains(from)) return [];
        var bytes = new byte[stack.High.Value - from.Value];
        var length = memory.ReadAvailable(from, bytes);
        var files = new List<KernelAddress>();
        for (var i = 0; i + 8 <= length; i += 8)
        {
            var value = new KernelAddress(BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(i)));
            if (!value.IsKernel || value.Value % Alignment != 0 || stack.Contains(value)) continue;
            if (memory.UInt16(value) is null) absent++;
            else if (names.IsFile(value) && HasIrps(value) && !files.Contains(value)) files.Add(value);
        }

        return files;
    }

    private bool HasIrps(KernelAddress file)
    {
        var head = file + layout.FileObject.IrpList;
        return memory.Pointer(head) is { IsKernel: true } first && first != head && memory.Pointer(first + 8) == head;
    }
}
