using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>Local time, UUIDs, callback objects, executive timers.</summary>
internal static partial class Ex
{
    private static void DefineMiscellaneous(NtRoutines nt)
    {
        // The machine's time zone is UTC.
        nt.Add("ExSystemTimeToLocalTime", CopyTime);
        nt.Add("ExLocalTimeToSystemTime", CopyTime);
        nt.Add("ExIsProcessorFeaturePresent", p => p.Return(p.Arg32(0) is 2 or 3 or 6 or 8 or 9 or 10 or 12 or 13 or 14 or 23 or 36 or 37 or 38));
        nt.Add("ExUuidCreate", p =>
        {
            // Version 4, from the machine's counter: unique in a run, the same in every run.
            var number = NtData.TakeUnique(p.Memory);
            DriverMemory.WriteU64(p, p.Arg(0), (number & 0xFFFFFFFF) | 0x4000_0001ul << 32);
            DriverMemory.WriteU64(p, p.Arg(0) + 8, 0x0000_0000_0000_0080ul | number << 16);
            return p.Return(NtStatus.Success);
        });
        nt.Add("ExGetFirmwareEnvironmentVariable", p => p.Return(NtStatus.NotImplemented));
        nt.Add("ExVerifySuite", p => p.Return(false));
        DefineCallbacks(nt);
        DefineExecutiveTimers(nt);
    }

    private static Next CopyTime(Processor p)
    {
        p.Memory.WriteU64(p.Arg(1), p.Memory.ReadU64(p.Arg(0)));
        return p.Return();
    }

    /// <summary>The functions of ExRegisterCallback that are still registered.</summary>
    public static IEnumerable<ulong> RegisteredCallbacks(GuestMemory m)
    {
        var tag = TagOf(RegistrationTag);
        return Records(m).Where(record => record.Tag == tag && !record.IsFreed).Select(record => m.ReadU64(record.Block + 0x18));
    }

    private const string RegistrationTag = "CbRg";

    /// <summary>CALLBACK_OBJECT: RegisteredCallbacks +0x10, AllowMultipleCallbacks +0x20. A registration: links +0, object +0x10, function +0x18, context +0x20.</summary>
    private static void DefineCallbacks(NtRoutines nt)
    {
        // ExCreateCallback(CallbackObject*, ObjectAttributes, Create, AllowMultipleCallbacks)
        nt.Add("ExCreateCallback", p =>
        {
            var name = p.Arg(1) == 0 || p.Memory.ReadU64(p.Arg(1) + 0x10) == 0 ? null : new UnicodeString(p.Memory, p.Memory.ReadU64(p.Arg(1) + 0x10)).Text;
            var body = name is null ? 0 : Ob.Find(p.Machine, name);
            if (body != 0) Ob.Reference(p.Memory, body);
            // Those of Windows' own are there without being made.
            var known = name is not null && (string[])["\\Callback\\PowerState", "\\Callback\\SetSystemTime", "\\Callback\\ProcessorAdd"] is var names && names.Contains(name, StringComparer.OrdinalIgnoreCase);
            if (body == 0 && p.Arg8(2) == 0 && !known) return p.Return(NtStatus.ObjectNameNotFound);
            if (body == 0)
            {
                body = Ob.Create(p.Machine, Ob.CallbackType, 0x28, name);
                new ListHead(p.Memory, body + 0x10).Initialize();
                p.Memory.WriteU8(body + 0x20, known ? (byte)1 : p.Arg8(3));
            }
            p.Memory.WriteU64(p.Arg(0), body);
            return p.Return(NtStatus.Success);
        });
        nt.Add("ExRegisterCallback", p =>
        {
            var list = new ListHead(p.Memory, p.Arg(0) + 0x10);
            if (!list.IsEmpty && p.Memory.ReadU8(p.Arg(0) + 0x20) == 0) return p.Return();
            var registration = Allocate(p.Machine, NonPaged, 0x30, RegistrationTag);
            for (var i = 0; i < 3; i++) p.Memory.WriteU64(registration + 0x10 + ((ulong)i * 8), p.Arg(i));
            list.InsertTail(new ListHead(p.Memory, registration));
            Ob.Reference(p.Memory, p.Arg(0));
            return p.Return(registration);
        });
        nt.Add("ExUnregisterCallback", p =>
        {
            new ListHead(p.Memory, p.Arg(0)).Remove();
            Ob.DereferenceNow(p.Machine, p.Memory.ReadU64(p.Arg(0) + 0x10));
            Free(p.Machine, p.Arg(0));
            return p.Return();
        });
        // ExNotifyCallback(CallbackObject, Argument1, Argument2). Local 0: the next registration.
        nt.Add("ExNotifyCallback", 1, p =>
        {
            p[0] = p.Memory.ReadU64(p.Arg(0) + 0x10);
            return p.Goto(1);
        }, p =>
        {
            var registration = p[0];
            if (registration == p.Arg(0) + 0x10) return p.Return();
            p[0] = p.Memory.ReadU64(registration);
            return p.Call(p.Memory.ReadU64(registration + 0x18), 1, p.Memory.ReadU64(registration + 0x20), p.Arg(1), p.Arg(2));
        });
    }

    /// <summary>EX_TIMER, opaque: a KTIMER, a KDPC at +0x40, callback +0x80, context +0x88, to be deleted by its DPC +0x90.</summary>
    private static void DefineExecutiveTimers(NtRoutines nt)
    {
        // ExAllocateTimer(Callback, CallbackContext, Attributes)
        nt.Add("ExAllocateTimer", 1, p =>
        {
            var timer = OwnedByCaller(p.Machine, Allocate(p.Machine, NonPaged, 0xA0, "ExTm"));
            p[0] = timer;
            p.Memory.Fill(timer, 0xA0, 0);
            // EX_TIMER_NOTIFICATION, 0x80000000.
            new DispatcherHeader(p.Memory, timer).Initialize((p.Arg32(2) & 0x80000000) != 0 ? DispatcherType.NotificationTimer : DispatcherType.SynchronizationTimer, Structures.Timer.Size, 0);
            p.Memory.WriteU64(timer + 0x80, p.Arg(0));
            p.Memory.WriteU64(timer + 0x88, p.Arg(1));
            return p.Call("KeInitializeDpc", 1, timer + 0x40, NtImage.Instance["ExpTimerDpcRoutine"], timer);
        }, p => p.Return(p[0]));
        nt.Add("ExpTimerDpcRoutine", p =>
        {
            var callback = p.Memory.ReadU64(p.Arg(1) + 0x80);
            return callback == 0 ? p.Return() : p.Call(callback, 1, p.Arg(1), p.Memory.ReadU64(p.Arg(1) + 0x88));
        }, p => p.Return());
        // ExSetTimer(Timer, DueTime, Period in 100 ns, Parameters)
        nt.Add("ExSetTimer", p =>
        {
            var period = p.Arg(2) == 0 ? 0 : Math.Max(1, p.Arg(2) / 10_000);
            return p.Call("KeSetTimerEx", 1, p.Arg(0), p.Arg(1), period, p.Arg(0) + 0x40);
        }, p => p.Return(p.Result));
        nt.Add("ExCancelTimer", p => p.Call("KeCancelTimer", 1, p.Arg(0)), p => p.Return(p.Result));
        // ExDeleteTimer(Timer, Cancel, Wait, Parameters). Local 0: it was counting.
        nt.Add("ExDeleteTimer", 1, p =>
        {
            if (p.Arg8(1) == 0 && new Structures.Timer(p.Memory, p.Arg(0)).Inserted) throw new UnmodelledException("nt!ExDeleteTimer", "a timer that is deleted when it has expired");
            return p.Call("KeCancelTimer", 1, p.Arg(0));
        }, p =>
        {
            p[0] = p.Result;
            return p.Call("KeRemoveQueueDpc", 2, p.Arg(0) + 0x40);
        }, p => p.Arg8(2) != 0 ? p.Call("KeFlushQueuedDpcs", 3) : p.Goto(3), p =>
        {
            Free(p.Machine, p.Arg(0));
            return p.Return(p[0]);
        });
    }
}
