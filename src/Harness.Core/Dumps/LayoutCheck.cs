using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>
/// Holds the layout of the build that a file claims against the memory in it: what the kernel itself tells debuggers, and list heads that must
/// lead back to themselves. Wrong offsets give wrong verdicts, so a contradiction refuses the file.
/// </summary>
internal static class LayoutCheck
{
    private const byte ProcessObject = 3, ThreadObject = 6;

    /// <summary>What the kernel tells debuggers; null when it is not in memory or cannot be decoded.</summary>
    /// <exception cref="UnusableDumpException">The layout is not this memory's.</exception>
    public static DebuggerData? Of(KernelDump dump, MachineMemory found)
    {
        var memory = new KernelMemoryReader(dump);
        var layout = found.Layout!;
        var kernel = KernelOf(memory, layout, found);
        var told = CheckDebuggerData(memory, layout, found, kernel);
        if (found.PhysicalBytes > 0) CheckLists(memory, layout, found);
        return told;
    }

    private static MappedImage? KernelOf(KernelMemoryReader memory, NtLayout layout, MachineMemory found) =>
        memory.Pointer(found.LoadedModuleList) is { } first && memory.Pointer(first + layout.LoadedModule.DllBase) is { } nt ? MappedImage.At(memory, nt) : null;

    private static DebuggerData? CheckDebuggerData(KernelMemoryReader memory, NtLayout layout, MachineMemory found, MappedImage? kernel)
    {
        if (found.DebuggerData.IsNull) return null;
        if (DebuggerData.Read(memory, found.DebuggerData, kernel, found.KernelSymbols, out var why) is not { } told)
        {
            found.Notes.Add($"the kernel's debugger data block (KDBG) at {found.DebuggerData} {why}: the layout was checked against the lists only");
            return null;
        }

        if (told.Contradicts(layout) is { } contradiction) throw Mismatch(found, "the kernel's debugger data block (KDBG) says that " + contradiction);
        if (told.ActiveProcessHead != found.ActiveProcessHead) found.Notes.Add($"KDBG has PsActiveProcessHead at {told.ActiveProcessHead}, the file's header at {found.ActiveProcessHead}");
        if (told.LoadedModuleList != found.LoadedModuleList) found.Notes.Add($"KDBG has PsLoadedModuleList at {told.LoadedModuleList}, the file's header at {found.LoadedModuleList}");
        if (kernel is not null && told.KernelBase != kernel.Base) found.Notes.Add($"KDBG has the kernel at {told.KernelBase}, the module list at {kernel.Base}");
        return told;
    }

    /// <summary>The first process on the list, its threads, and the first thread's IRPs.</summary>
    private static void CheckLists(KernelMemoryReader memory, NtLayout layout, MachineMemory found)
    {
        if (memory.Pointer(found.ActiveProcessHead) is not { } link || link == found.ActiveProcessHead) return;
        var process = link - layout.EProcess.ActiveProcessLinks;
        if (memory.Byte(process + layout.DispatcherHeader.Type) is { } type && (type & 0x7F) != ProcessObject) throw Mismatch(found, $"no process object is at EPROCESS.ActiveProcessLinks - 0x{layout.EProcess.ActiveProcessLinks:x}");
        var threads = process + layout.EProcess.ThreadListHead;
        if (!MayBeHead(memory, threads)) throw Mismatch(found, $"there is no list head at EPROCESS.ThreadListHead (0x{layout.EProcess.ThreadListHead:x})");
        if (memory.Pointer(threads) is not { } entry || entry == threads) return;
        var thread = entry - layout.EThread.ThreadListEntry;
        if (memory.Byte(thread + layout.DispatcherHeader.Type) is { } kind && (kind & 0x7F) != ThreadObject) throw Mismatch(found, $"no thread object is at ETHREAD.ThreadListEntry - 0x{layout.EThread.ThreadListEntry:x}");
        if (memory.Pointer(thread + layout.KThread.Process) is { } owner && owner != process) throw Mismatch(found, $"KTHREAD.Process (0x{layout.KThread.Process:x}) of the first thread is not its process");
        if (!MayBeHead(memory, thread + layout.EThread.IrpList)) throw Mismatch(found, $"there is no list head at ETHREAD.IrpList (0x{layout.EThread.IrpList:x})");
    }

    /// <summary>A list head, or memory that isn't there to say otherwise.</summary>
    private static bool MayBeHead(KernelMemoryReader memory, KernelAddress head) =>
        memory.Pointer(head) is not { } first || (first.IsKernel && (memory.Pointer(first + 8) is not { } back || back == head));

    private static UnusableDumpException Mismatch(MachineMemory found, string why) =>
        new(found.Layout!.IsOfSymbols
            ? $"does not have the structures that its kernel's PDB tells of: {why}; the PDB or the dump is damaged"
            : $"says it is of NT build {found.Build}, but its structures are laid out otherwise: {why}; the layout table (nt-offsets.json) needs that kernel's own offsets, or its PDB would help (--symbols)");
}
