using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>Handle tables. HANDLE_TABLE: TableCode +8, HandleCount +0x58; entries of 16 bytes (public symbols, build 19041).</summary>
internal static partial class Ob
{
    private const int EntriesInTable = 256;
    private const ulong KernelHandleBit = 0xFFFFFFFF_80000000;

    private static void DefineHandles(NtRoutines nt)
    {
        nt.Add("ObReferenceObjectByHandle", ReferenceByHandle);
        nt.Add("ObOpenObjectByPointer", OpenByPointer);
        nt.Add("NtClose", p => p.Call("ObpCloseHandle", 1, p.Arg(0), (ulong)p.CurrentThread.PreviousMode), p => p.Return(p.Result));
        nt.Add("ObCloseHandle", p => p.Call("ObpCloseHandle", 1, p.Arg(0), p.Arg(1)), p => p.Return(p.Result));
        nt.Add("ObpCloseHandle", CloseHandle, p => p.Return(p.Result));
        // ObCloseHandleTableEntry(Process, Handle), ObpDecrementHandleCount(Process, Object)
        nt.Add("ObCloseHandleTableEntry", CloseEntry, p => p.Return(NtStatus.Success));
        nt.Add("ObpDecrementHandleCount", DecrementHandleCount, HandleCountDecremented, p => p.Return());
        // Local 0: the next index.
        nt.Add("ExSweepHandleTable", 1, p =>
        {
            p[0] = 1;
            return p.Goto(1);
        }, SweepNext);
        nt.Add("ObKillProcess", p => p.Call("ExSweepHandleTable", 1, p.Arg(0)), HandlesSwept);
    }

    /// <summary>Gives a process its handle table.</summary>
    public static void CreateHandleTable(Machine machine, Structures.Process process)
    {
        var m = machine.Memory;
        var table = Ex.Allocate(machine, Ex.NonPaged, 0x80, "Obtb");
        var entries = Ex.Allocate(machine, Ex.NonPaged, EntriesInTable * 16, "Obtb");
        m.Fill(table, 0x80, 0);
        m.Fill(entries, EntriesInTable * 16, 0);
        m.WriteU64(table + 8, entries);
        m.WriteU32(table + 0x28, (uint)process.UniqueProcessId);
        process.ObjectTable = table;
    }

    /// <summary>Open handles of a process; 0 once its table is gone.</summary>
    public static int HandleCount(Structures.Process process) => process.ObjectTable == 0 ? 0 : (int)process.Memory.ReadU32(process.ObjectTable + 0x58);

    /// <summary>The objects of a process's open handles, in the order of the handles.</summary>
    public static IEnumerable<(ulong Handle, ulong Body)> Handles(Structures.Process process)
    {
        for (var index = 1; index < EntriesInTable; index++)
            if (process.Memory.ReadU64(Entry(process, index)) != 0) yield return ((ulong)index * 4, BodyOf(process.Memory, Entry(process, index)));
    }

    /// <summary>A new handle to an object, which keeps a reference; 0 when the table is full.</summary>
    public static ulong InsertHandle(Structures.Process process, ulong body, uint access = 0x1FFFFF)
    {
        var m = process.Memory;
        for (var index = 1; index < EntriesInTable; index++)
        {
            var entry = Entry(process, index);
            if (m.ReadU64(entry) != 0) continue;
            // Unlocked bit, and the header's address in the upper 44 bits.
            m.WriteU64(entry, ((body - HeaderSize) >> 4) << 20 | 1);
            m.WriteU64(entry + 8, access & 0x1FFFFFF);
            m.WriteU32(process.ObjectTable + 0x58, m.ReadU32(process.ObjectTable + 0x58) + 1);
            var header = ObjectHeader.Of(m, body);
            header.HandleCount++;
            header.PointerCount++;
            return (ulong)index * 4;
        }
        return 0;
    }

    /// <summary>A handle as the caller gets it: kernel handles live in System's table.</summary>
    public static ulong InsertHandleFor(Processor p, ulong body, bool kernelHandle, uint access = 0x1FFFFF)
    {
        if (!kernelHandle) return InsertHandle(p.CurrentProcess, body, access);
        var handle = InsertHandle(NtData.System(p.Memory), body, access);
        return handle == 0 ? 0 : handle | KernelHandleBit;
    }

    private static ulong Entry(Structures.Process process, int index) => process.Memory.ReadU64(process.ObjectTable + 8) + ((ulong)index * 16);

    private static bool TryEntry(Processor p, ulong handle, out Structures.Process process, out ulong entry)
    {
        process = p.CurrentProcess;
        entry = 0;
        if ((handle & KernelHandleBit) == KernelHandleBit && handle < ulong.MaxValue - 16)
        {
            process = NtData.System(p.Memory);
            handle &= ~KernelHandleBit;
        }
        var index = handle / 4;
        if (index == 0 || index >= EntriesInTable || process.ObjectTable == 0) return false;
        entry = Entry(process, (int)index);
        return p.Memory.ReadU64(entry) != 0;
    }

    private static ulong BodyOf(GuestMemory m, ulong entry) => (0xFFFF0000_00000000 | m.ReadU64(entry) >> 20 << 4) + HeaderSize;

    /// <summary>References the object of a handle. Pseudo handles: -1 the process, -2 the thread.</summary>
    public static NtStatus FromHandle(Processor p, ulong handle, int type, out ulong body, out uint access)
    {
        access = 0x1FFFFF;
        if (handle == ulong.MaxValue) body = p.CurrentProcess.Address;
        else if (handle == ulong.MaxValue - 1) body = p.CurrentThread.Address;
        else if (TryEntry(p, handle, out _, out var entry))
        {
            body = BodyOf(p.Memory, entry);
            access = p.Memory.ReadU32(entry + 8);
        }
        else
        {
            body = 0;
            return NtStatus.InvalidHandle;
        }
        if (type != 0 && TypeOf(p.Memory, body) != type) return NtStatus.ObjectTypeMismatch;
        Reference(p.Memory, body);
        return NtStatus.Success;
    }

    private static Next ReferenceByHandle(Processor p)
    {
        // ObReferenceObjectByHandle(Handle, DesiredAccess, ObjectType, AccessMode, Object, HandleInformation)
        var type = p.Arg(2) == 0 ? 0 : p.Memory.ReadU8(p.Arg(2) + 0x28);
        var status = FromHandle(p, p.Arg(0), type, out var body, out var access);
        p.Memory.WriteU64(p.Arg(4), status.IsSuccess ? body : 0);
        if (status.IsSuccess && p.Arg(5) != 0)
        {
            p.Memory.WriteU32(p.Arg(5), 0);
            p.Memory.WriteU32(p.Arg(5) + 4, access);
        }
        return p.Return(status);
    }

    private static Next OpenByPointer(Processor p)
    {
        // ObOpenObjectByPointer(Object, HandleAttributes, PassedAccessState, DesiredAccess, ObjectType, AccessMode, Handle)
        const uint objKernelHandle = 0x200;
        var handle = InsertHandleFor(p, p.Arg(0), (p.Arg32(1) & objKernelHandle) != 0);
        if (handle == 0) return p.Return(NtStatus.InsufficientResources);
        p.Memory.WriteU64(p.Arg(6), handle);
        return p.Return(NtStatus.Success);
    }

    private static Next CloseHandle(Processor p)
    {
        if (!TryEntry(p, p.Arg(0), out var process, out _)) return p.Return(NtStatus.InvalidHandle);
        return p.Call("ObCloseHandleTableEntry", 1, process.Address, p.Arg(0) & ~KernelHandleBit);
    }

    private static Next CloseEntry(Processor p)
    {
        var process = new Structures.Process(p.Memory, p.Arg(0));
        // Whoever takes the entry closes the handle; another thread that tries the same comes too late.
        if (process.ObjectTable == 0 || p.Memory.ReadU64(Entry(process, (int)(p.Arg(1) / 4))) == 0) return p.Return(NtStatus.InvalidHandle);
        var entry = Entry(process, (int)(p.Arg(1) / 4));
        var body = BodyOf(p.Memory, entry);
        p.Memory.WriteU64(entry, 0);
        p.Memory.WriteU64(entry + 8, 0);
        p.Memory.WriteU32(process.ObjectTable + 0x58, p.Memory.ReadU32(process.ObjectTable + 0x58) - 1);
        return p.Call("ObpDecrementHandleCount", 1, process.Address, body);
    }

    private static Next DecrementHandleCount(Processor p)
    {
        var header = ObjectHeader.Of(p.Memory, p.Arg(1));
        if (header.TypeIndex == FileType && header.HandleCount == 1) return p.Call("IopCloseFile", 1, p.Arg(0), p.Arg(1));
        return p.Goto(1);
    }

    private static Next HandleCountDecremented(Processor p)
    {
        var header = ObjectHeader.Of(p.Memory, p.Arg(1));
        header.HandleCount--;
        return p.Call("ObfDereferenceObject", 2, p.Arg(1));
    }

    private static Next SweepNext(Processor p)
    {
        var process = new Structures.Process(p.Memory, p.Arg(0));
        for (var index = (int)p[0]; index < EntriesInTable; index++)
        {
            if (p.Memory.ReadU64(Entry(process, index)) == 0) continue;
            p[0] = (ulong)index + 1;
            return p.Call("ObCloseHandleTableEntry", 1, process.Address, (ulong)index * 4);
        }
        return p.Return();
    }

    private static Next HandlesSwept(Processor p)
    {
        var process = new Structures.Process(p.Memory, p.Arg(0));
        Ex.Free(p.Machine, p.Memory.ReadU64(process.ObjectTable + 8));
        Ex.Free(p.Machine, process.ObjectTable);
        process.ObjectTable = 0;
        return p.Return();
    }
}
