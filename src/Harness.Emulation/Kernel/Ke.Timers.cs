using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>Timers on the virtual clock: one list, ordered by due time.</summary>
internal static partial class Ke
{
    private static void DefineTimers(NtRoutines nt)
    {
        nt.Add("KeInitializeTimer", p => InitializeTimer(p, DispatcherType.NotificationTimer));
        nt.Add("KeInitializeTimerEx", p => InitializeTimer(p, DispatcherType.NotificationTimer + (byte)p.Arg32(1)));
        nt.Add("KeSetTimer", p => SetTimer(p, (long)p.Arg(1), 0, p.Arg(2)));
        nt.Add("KeSetTimerEx", p => SetTimer(p, (long)p.Arg(1), p.Arg32(2), p.Arg(3)));
        nt.Add("KeSetCoalescableTimer", p => SetTimer(p, (long)p.Arg(1), p.Arg32(2), p.Arg(4)));
        nt.Add("KeCancelTimer", p => p.Return(Remove(new Structures.Timer(p.Memory, p.Arg(0)))));
        nt.Add("KeReadStateTimer", p => p.Return(new DispatcherHeader(p.Memory, p.Arg(0)).SignalState != 0));
    }

    /// <summary>Every timer that is counting.</summary>
    public static IEnumerable<Structures.Timer> ActiveTimers(GuestMemory m) => NtData.Timers(m).Entries().Select(entry => TimerOf(m, entry));

    private static Next InitializeTimer(Processor p, DispatcherType type)
    {
        var timer = new Structures.Timer(p.Memory, p.Arg(0));
        p.Memory.Fill(timer.Address, Structures.Timer.Size, 0);
        timer.Header.Initialize(type, Structures.Timer.Size, 0);
        return p.Return();
    }

    private static Next SetTimer(Processor p, long dueTime, uint period, ulong dpc)
    {
        var timer = new Structures.Timer(p.Memory, p.Arg(0));
        var was = Remove(timer);
        timer.Dpc = dpc;
        timer.Period = period;
        var header = timer.Header;
        header.SignalState = 0;
        // What is due already is due now: a period counts from here.
        Insert(p.Machine, timer, Math.Max(DueTimeOf(p.Machine, dueTime), NtData.InterruptTime(p.Memory)));
        ExpireTimers(p.Machine);
        return p.Return(was);
    }

    /// <summary>Starts a timer: due at this interrupt time.</summary>
    public static void Insert(Machine machine, Structures.Timer timer, ulong due)
    {
        timer.DueTime = due;
        timer.Inserted = true;
        var list = NtData.Timers(machine.Memory);
        // Before the first that is due later; equal due times keep their order.
        var before = list.Flink;
        while (before != list.Address && TimerOf(machine.Memory, before).DueTime <= due) before = machine.Memory.ReadU64(before);
        new ListHead(machine.Memory, before).InsertTail(timer.TimerListEntry);
    }

    /// <summary>Stops a timer; true when it was counting.</summary>
    public static bool Remove(Structures.Timer timer)
    {
        if (!timer.Inserted) return false;
        timer.TimerListEntry.Remove();
        timer.Inserted = false;
        return true;
    }

    /// <summary>When the next timer is due, as interrupt time; false when none is counting.</summary>
    public static bool TryNextDue(GuestMemory m, out ulong due)
    {
        var list = NtData.Timers(m);
        due = list.IsEmpty ? 0 : TimerOf(m, list.Flink).DueTime;
        return !list.IsEmpty;
    }

    /// <summary>Every timer that is due is signalled, in the order of due times.</summary>
    public static void ExpireTimers(Machine machine)
    {
        var m = machine.Memory;
        while (TryNextDue(m, out var due) && due <= NtData.InterruptTime(m))
        {
            var timer = TimerOf(m, NtData.Timers(m).Flink);
            Remove(timer);
            if (timer.Period != 0) Insert(machine, timer, due + (timer.Period * 10_000ul));
            var header = timer.Header;
            header.SignalState = 1;
            SatisfyWaits(machine, header);
            if (timer.Dpc != 0) QueueDpc(machine, new Dpc(m, timer.Dpc), 0, 0);
        }
    }

    private static Structures.Timer TimerOf(GuestMemory m, ulong listEntry) => new(m, listEntry - 0x20);
}
