using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>Processes and threads: how they are made. How they end is in Ps.Exit.cs.</summary>
internal static partial class Ps
{
    private const byte NormalPriority = 8;

    public static void Define(NtRoutines nt)
    {
        DefineExit(nt);
        DefineQueries(nt);
        nt.Add("PsCreateSystemThread", CreateSystemThread);
        nt.Add("PsGetCurrentProcess", p => p.Return(p.CurrentProcess.Address));
        nt.Add("IoGetCurrentProcess", p => p.Return(p.CurrentProcess.Address));
        nt.Add("PsGetCurrentProcessId", p => p.Return(p.CurrentThread.UniqueProcess));
        nt.Add("PsGetCurrentThreadId", p => p.Return(p.CurrentThread.UniqueThread));
        nt.Add("PsGetProcessId", p => p.Return(new Structures.Process(p.Memory, p.Arg(0)).UniqueProcessId));
        nt.Add("PsGetThreadId", p => p.Return(new Structures.Thread(p.Memory, p.Arg(0)).UniqueThread));
        nt.Add("PsGetThreadProcess", p => p.Return(new Structures.Thread(p.Memory, p.Arg(0)).Process.Address));
        nt.Add("PsGetThreadProcessId", p => p.Return(new Structures.Thread(p.Memory, p.Arg(0)).UniqueProcess));
        nt.Add("IoThreadToProcess", p => p.Return(new Structures.Thread(p.Memory, p.Arg(0)).Process.Address));
        nt.Add("PsIsSystemThread", p => p.Return(new Structures.Thread(p.Memory, p.Arg(0)).IsSystemThread));
        nt.Add("PsIsThreadTerminating", p => p.Return(new Structures.Thread(p.Memory, p.Arg(0)).Terminated));
        nt.Add("PsGetProcessExitStatus", p => p.Return(new Structures.Process(p.Memory, p.Arg(0)).ExitStatus));
        nt.Add("PsGetProcessImageFileName", p => p.Return(p.Arg(0) + 0x5A8));
        nt.Add("PsLookupProcessByProcessId", LookupProcess);
        nt.Add("ExGetPreviousMode", p => p.Return((ulong)p.CurrentThread.PreviousMode));
    }

    /// <summary>The processes on the active process list, in its order.</summary>
    public static IEnumerable<Structures.Process> Processes(GuestMemory m) =>
        NtData.ActiveProcesses(m).Entries().Select(link => new Structures.Process(m, link - 0x448));

    /// <summary>The threads of all of them.</summary>
    public static IEnumerable<Structures.Thread> Threads(GuestMemory m) =>
        Processes(m).SelectMany(process => process.ThreadListHead.Entries()).Select(link => new Structures.Thread(m, link - 0x4E8));

    /// <summary>Makes a process with one reference (its threads' and handles' come on top) and puts it on the active process list.</summary>
    public static Structures.Process CreateProcess(Machine machine, string image, ulong pid, ulong directory, bool listed = true)
    {
        var m = machine.Memory;
        var process = new Structures.Process(m, Ob.Create(machine, Ob.ProcessType, Structures.Process.Size + Structures.Process.OwnSize));
        process.Header.Initialize(DispatcherType.Process, 0x438, 0);
        process.DirectoryTableBase = directory;
        process.ProfileListHead.Initialize();
        process.ThreadListHeadOfKernel.Initialize();
        process.ThreadListHead.Initialize();
        process.ActiveProcessLinks.Initialize();
        process.UniqueProcessId = pid;
        process.ImageFileName = image;
        process.ExitStatus = NtStatus.Pending;
        process.CreateTime = Machine.BootTime + NtData.InterruptTime(m);
        if (listed) NtData.ActiveProcesses(m).InsertTail(process.ActiveProcessLinks);
        Ob.CreateHandleTable(machine, process);
        machine.Trace?.ProcessStarted(process);
        return process;
    }

    /// <summary>Makes a thread with a kernel stack; the caller prepares where it begins and makes it ready.</summary>
    public static Structures.Thread CreateThread(Machine machine, Structures.Process process, bool system, byte priority = NormalPriority)
    {
        var m = machine.Memory;
        var thread = new Structures.Thread(m, Ob.Create(machine, Ob.ThreadType, Structures.Thread.Size + Structures.Thread.OwnSize));
        thread.Header.Initialize(DispatcherType.Thread, 0x430, 0);
        var limit = NtData.TakeStack(m, AddressMap.StackStride) + (AddressMap.StackStride - AddressMap.StackBytes);
        m.Map(limit, AddressMap.StackBytes, PageAccess.Read | PageAccess.Write);
        thread.StackLimit = limit;
        thread.StackBase = limit + AddressMap.StackBytes;
        var apcs = thread.ApcState;
        apcs.List(ProcessorMode.KernelMode).Initialize();
        apcs.List(ProcessorMode.UserMode).Initialize();
        apcs.Process = process;
        thread.Process = process;
        thread.Priority = priority;
        thread.IrpList.Initialize();
        thread.WaitListEntry.Initialize();
        thread.UniqueProcess = process.UniqueProcessId;
        thread.UniqueThread = NtData.TakeCid(m);
        thread.CrossThreadFlags = system ? 0x10u : 0;
        thread.ExitStatus = NtStatus.Pending;
        thread.PreviousMode = system ? ProcessorMode.KernelMode : ProcessorMode.UserMode;
        process.ThreadListHeadOfKernel.InsertTail(thread.ThreadListEntryOfKernel);
        process.ThreadListHead.InsertTail(thread.ThreadListEntry);
        process.ActiveThreads++;
        Ob.Reference(m, process.Address);
        return thread;
    }

    /// <summary>A system thread that calls a routine; ready at once.</summary>
    public static Structures.Thread StartSystemThread(Machine machine, ulong routine, ulong context)
    {
        var thread = CreateThread(machine, NtData.System(machine.Memory), system: true);
        thread.StartAddress = routine;
        Ke.PrepareSystemThread(thread, routine, context);
        machine.Trace?.ThreadStarted(thread);
        machine.Trace?.Readied(thread);
        Ke.Ready(machine, thread);
        return thread;
    }

    public static void DeleteProcess(Structures.Process process) => process.ActiveProcessLinks.Remove();

    public static void DeleteThread(Machine machine, Structures.Thread thread)
    {
        thread.ThreadListEntry.Remove();
        thread.ThreadListEntryOfKernel.Remove();
        Ob.DereferenceNow(machine, thread.Process.Address);
    }

    private static Next CreateSystemThread(Processor p)
    {
        // PsCreateSystemThread(ThreadHandle, DesiredAccess, ObjectAttributes, ProcessHandle, ClientId, StartRoutine, StartContext)
        if (p.Arg(3) != 0 && Ob.FromHandle(p, p.Arg(3), Ob.ProcessType, out var process, out _).IsSuccess)
        {
            Ob.DereferenceNow(p.Machine, process);
            if (process != NtData.System(p.Memory).Address) throw new UnmodelledException("nt!PsCreateSystemThread", "a system thread in a process other than System");
        }
        var thread = StartSystemThread(p.Machine, p.Arg(5), p.Arg(6));
        var attributes = p.Arg(2) == 0 ? 0 : p.Memory.ReadU32(p.Arg(2) + 0x18);
        p.Memory.WriteU64(p.Arg(0), Ob.InsertHandleFor(p, thread.Address, (attributes & 0x200) != 0));
        if (p.Arg(4) != 0)
        {
            p.Memory.WriteU64(p.Arg(4), thread.UniqueProcess);
            p.Memory.WriteU64(p.Arg(4) + 8, thread.UniqueThread);
        }
        return p.Return(NtStatus.Success);
    }

    private static Next LookupProcess(Processor p)
    {
        foreach (var process in Processes(p.Memory).Where(known => known.UniqueProcessId == p.Arg(0)))
        {
            Ob.Reference(p.Memory, process.Address);
            p.Memory.WriteU64(p.Arg(1), process.Address);
            return p.Return(NtStatus.Success);
        }
        return p.Return(NtStatus.InvalidCid);
    }
}
