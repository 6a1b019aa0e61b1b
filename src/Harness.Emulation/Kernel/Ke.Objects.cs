using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Dispatcher objects that drivers own: events, semaphores, mutexes.</summary>
internal static partial class Ke
{
    private static void DefineObjects(NtRoutines nt)
    {
        nt.Add("KeInitializeEvent", InitializeEvent);
        nt.Add("KeSetEvent", p => p.Return((ulong)SetEvent(p.Machine, new DispatcherHeader(p.Memory, p.Arg(0)))));
        nt.Add("KeResetEvent", ResetEvent);
        nt.Add("KeClearEvent", ResetEvent);
        nt.Add("KePulseEvent", PulseEvent);
        nt.Add("KeReadStateEvent", ReadState);
        nt.Add("KeInitializeSemaphore", InitializeSemaphore);
        nt.Add("KeReleaseSemaphore", ReleaseSemaphore);
        nt.Add("KeReadStateSemaphore", ReadState);
        nt.Add("KeInitializeMutex", p => InitializeMutant(p, owned: false));
        nt.Add("KeInitializeMutant", p => InitializeMutant(p, owned: p.Arg8(1) != 0));
        nt.Add("KeReleaseMutex", ReleaseMutant);
        nt.Add("KeReadStateMutex", ReadState);
    }

    /// <summary>Signals an event; its previous state.</summary>
    public static int SetEvent(Machine machine, DispatcherHeader header)
    {
        var was = header.SignalState;
        header.SignalState = 1;
        if (was == 0) SatisfyWaits(machine, header);
        return was;
    }

    private static Next InitializeEvent(Processor p)
    {
        // KeInitializeEvent(Event, Type, State): NotificationEvent 0, SynchronizationEvent 1.
        new DispatcherHeader(p.Memory, p.Arg(0)).Initialize((DispatcherType)p.Arg8(1), DispatcherHeader.Size, p.Arg8(2) != 0 ? 1 : 0);
        return p.Return();
    }

    private static Next ResetEvent(Processor p)
    {
        var header = new DispatcherHeader(p.Memory, p.Arg(0));
        var was = header.SignalState;
        header.SignalState = 0;
        return p.Return((ulong)was);
    }

    private static Next PulseEvent(Processor p)
    {
        var header = new DispatcherHeader(p.Memory, p.Arg(0));
        var was = SetEvent(p.Machine, header);
        header.SignalState = 0;
        return p.Return((ulong)was);
    }

    private static Next ReadState(Processor p) => p.Return((ulong)(uint)new DispatcherHeader(p.Memory, p.Arg(0)).SignalState);

    private static Next InitializeSemaphore(Processor p)
    {
        // KSEMAPHORE: the header and the limit at +0x18 (wdm.h).
        new DispatcherHeader(p.Memory, p.Arg(0)).Initialize(DispatcherType.Semaphore, 0x20, (int)p.Arg32(1));
        p.Memory.WriteU32(p.Arg(0) + 0x18, p.Arg32(2));
        return p.Return();
    }

    private static Next ReleaseSemaphore(Processor p)
    {
        // KeReleaseSemaphore(Semaphore, Increment, Adjustment, Wait)
        var header = new DispatcherHeader(p.Memory, p.Arg(0));
        var was = header.SignalState;
        var limit = (int)p.Memory.ReadU32(header.Address + 0x18);
        var now = was + (int)p.Arg32(2);
        if (now > limit || now < was) throw new RaisedStatusException(NtStatus.SemaphoreLimitExceeded);
        header.SignalState = now;
        SatisfyWaits(p.Machine, header);
        return p.Return((ulong)was);
    }

    /// <summary>Adds to a semaphore of nt's own.</summary>
    public static void ReleaseSemaphore(Machine machine, DispatcherHeader header)
    {
        header.SignalState++;
        SatisfyWaits(machine, header);
    }

    // KMUTANT: header, MutantListEntry +0x18, OwnerThread +0x28, Abandoned +0x30, ApcDisable +0x31 (wdm.h).
    private static ulong MutantOwner(DispatcherHeader header) => header.Memory.ReadU64(header.Address + 0x28);

    private static Next InitializeMutant(Processor p, bool owned)
    {
        var header = new DispatcherHeader(p.Memory, p.Arg(0));
        header.Initialize(DispatcherType.Mutant, 0x38, owned ? 0 : 1);
        p.Memory.Fill(header.Address + 0x18, 0x20, 0);
        p.Memory.WriteU64(header.Address + 0x28, owned ? p.CurrentThread.Address : 0);
        p.Memory.WriteU8(header.Address + 0x31, p.RoutineName == "KeInitializeMutex" ? (byte)1 : (byte)0);
        return p.Return();
    }

    private static NtStatus AcquireMutant(DispatcherHeader header, Structures.Thread thread)
    {
        var m = header.Memory;
        header.SignalState--;
        if (header.SignalState == 0)
        {
            m.WriteU64(header.Address + 0x28, thread.Address);
            // A mutex keeps normal kernel APCs away while it is held: the exit APC too.
            thread.KernelApcDisable -= m.ReadU8(header.Address + 0x31);
        }
        return NtStatus.Success;
    }

    private static Next ReleaseMutant(Processor p)
    {
        var header = new DispatcherHeader(p.Memory, p.Arg(0));
        var thread = p.CurrentThread;
        if (MutantOwner(header) != thread.Address) throw new RaisedStatusException(NtStatus.MutantNotOwned);
        var was = header.SignalState;
        header.SignalState = was + 1;
        if (header.SignalState == 1)
        {
            p.Memory.WriteU64(header.Address + 0x28, 0);
            var disable = p.Memory.ReadU8(header.Address + 0x31);
            if (disable != 0)
            {
                thread.KernelApcDisable += disable;
                RequestApcsAgain(p, thread);
            }
            SatisfyWaits(p.Machine, header);
        }
        return p.Return((ulong)was);
    }
}
