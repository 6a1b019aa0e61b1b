using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>
/// StartIo: IoStartPacket and its device queue. KDEVICE_QUEUE: DeviceListHead +8, Busy +0x20; KDEVICE_QUEUE_ENTRY: links +0, SortKey +0x10,
/// Inserted +0x14; an IRP's entry is at IRP + 0x78 (wdm.h). DEVOBJ_EXTENSION: StartIoCount +0x38, StartIoKey +0x3C, StartIoFlags +0x40 (public symbols).
/// </summary>
internal static partial class Io
{
    private const ulong QueueEntryOfIrp = 0x78;

    // What IoSetStartIoAttributes sets, and what an IoStartNextPacket that came too early asked for.
    private const uint StartIoNoKey = 0x20, StartIoWithKey = 0x40, StartIoCancelable = 0x80, StartIoDeferred = 0x100, StartIoNoCancel = 0x200;

    private static void DefineDeviceQueues(NtRoutines nt)
    {
        nt.Add("KeInitializeDeviceQueue", InitializeDeviceQueue);
        nt.Add("KeInsertDeviceQueue", p => p.Return(InsertDeviceQueue(p, p.Arg(0), p.Arg(1), null)));
        nt.Add("KeInsertByKeyDeviceQueue", p => p.Return(InsertDeviceQueue(p, p.Arg(0), p.Arg(1), p.Arg32(2))));
        nt.Add("KeRemoveDeviceQueue", p => p.Return(RemoveDeviceQueue(p, p.Arg(0), null)));
        nt.Add("KeRemoveByKeyDeviceQueue", p => p.Return(RemoveDeviceQueue(p, p.Arg(0), p.Arg32(1))));
        nt.Add("KeRemoveByKeyDeviceQueueIfBusy", p => p.Return(p.Memory.ReadU8(p.Arg(0) + 0x20) == 0 ? 0 : RemoveDeviceQueue(p, p.Arg(0), p.Arg32(1))));
        nt.Add("KeRemoveEntryDeviceQueue", RemoveEntryDeviceQueue);

        // IoStartPacket(DeviceObject, Irp, Key*, CancelFunction). Locals: 0 IRQL before, 1 IRQL of the cancel lock.
        nt.Add("IoStartPacket", 2, RaiseForPacket, SetPacketCancel, QueuePacket, PacketIsFirst, StartFirstPacket, CheckPacketCancel, LowerAfterPacket);
        nt.Add("IoStartNextPacket", p => p.Call("IopStartNextPacketEx", 1, p.Arg(0), 0, StartIoNoKey | (p.Arg8(1) != 0 ? StartIoCancelable : 0)), p => p.Return());
        nt.Add("IoStartNextPacketByKey", p => p.Call("IopStartNextPacketEx", 1, p.Arg(0), p.Arg32(2), StartIoWithKey | (p.Arg8(1) != 0 ? StartIoCancelable : 0)), p => p.Return());
        // (DeviceObject, Key, Flags): with deferred StartIo, one packet after the other instead of one inside the other.
        nt.Add("IopStartNextPacketEx", BeginNextPacket, NextPacketStarted, p => p.Return());
        // (DeviceObject, Key, Flags). Locals: 0 the IRP, 1 IRQL of the cancel lock.
        nt.Add("IopStartNextPacket", 2, LockForNextPacket, TakeNextPacket, UnlockNextPacket, StartTakenPacket, p => p.Return());
        nt.Add("IoSetStartIoAttributes", p =>
        {
            var flags = p.Memory.ReadU32(StartIoState(p) + 0x40) & ~(StartIoDeferred | StartIoNoCancel);
            p.Memory.WriteU32(StartIoState(p) + 0x40, flags | (p.Arg8(1) != 0 ? StartIoDeferred : 0) | (p.Arg8(2) != 0 ? StartIoNoCancel : 0));
            return p.Return();
        });
    }

    private static ulong StartIoState(Processor p) => DeviceAt(p, p.Arg(0)).DeviceObjectExtension;

    private static Next InitializeDeviceQueue(Processor p)
    {
        p.Memory.Fill(p.Arg(0), 0x28, 0);
        p.Memory.WriteU16(p.Arg(0), 0x14);
        p.Memory.WriteU16(p.Arg(0) + 2, 0x28);
        new ListHead(p.Memory, p.Arg(0) + 8).Initialize();
        return p.Return();
    }

    /// <summary>Makes the queue busy (false), or puts the entry into a queue that is (true).</summary>
    private static bool InsertDeviceQueue(Processor p, ulong queue, ulong entry, uint? key)
    {
        var m = p.Memory;
        if (key is not null) m.WriteU32(entry + 0x10, key.Value);
        var busy = m.ReadU8(queue + 0x20) != 0;
        m.WriteU8(entry + 0x14, busy ? (byte)1 : (byte)0);
        if (!busy)
        {
            m.WriteU8(queue + 0x20, 1);
            return false;
        }
        var before = queue + 8;
        if (key is not null)
        {
            before = m.ReadU64(before);
            while (before != queue + 8 && m.ReadU32(before + 0x10) <= key) before = m.ReadU64(before);
        }
        new ListHead(m, before).InsertTail(new ListHead(m, entry));
        return true;
    }

    /// <summary>The next entry, or with a key the first whose key isn't smaller; 0 and not busy any more when there is none.</summary>
    private static ulong RemoveDeviceQueue(Processor p, ulong queue, uint? key)
    {
        var m = p.Memory;
        var list = new ListHead(m, queue + 8);
        if (list.IsEmpty)
        {
            m.WriteU8(queue + 0x20, 0);
            return 0;
        }
        var entry = list.Flink;
        while (key is not null && entry != list.Address && m.ReadU32(entry + 0x10) < key) entry = m.ReadU64(entry);
        if (entry == list.Address) entry = list.Flink;
        Unlink(m, entry);
        m.WriteU8(entry + 0x14, 0);
        return entry;
    }

    private static Next RemoveEntryDeviceQueue(Processor p)
    {
        if (p.Memory.ReadU8(p.Arg(1) + 0x14) == 0) return p.Return(false);
        p.Memory.WriteU8(p.Arg(1) + 0x14, 0);
        Unlink(p.Memory, p.Arg(1));
        return p.Return(true);
    }

    /// <summary>RemoveEntryList: the entry keeps its links.</summary>
    private static void Unlink(Memory.GuestMemory m, ulong entry)
    {
        var (next, previous) = (m.ReadU64(entry), m.ReadU64(entry + 8));
        m.WriteU64(previous, next);
        m.WriteU64(next + 8, previous);
    }

    private static Next RaiseForPacket(Processor p)
    {
        p[0] = p.Irql;
        p.Irql = Ke.DispatchLevel;
        return p.Arg(3) == 0 ? p.Goto(2) : p.Call("IoAcquireCancelSpinLock", 1, p.LocalAddress(1));
    }

    private static Next SetPacketCancel(Processor p)
    {
        var irp = IrpAt(p, p.Arg(1));
        irp.CancelRoutine = p.Arg(3);
        return p.Goto(2);
    }

    private static Next QueuePacket(Processor p)
    {
        var queue = DeviceAt(p, p.Arg(0)).DeviceQueue;
        uint? key = p.Arg(2) == 0 ? null : p.Memory.ReadU32(p.Arg(2));
        return InsertDeviceQueue(p, queue, p.Arg(1) + QueueEntryOfIrp, key) ? p.Goto(5) : p.Goto(3);
    }

    private static Next PacketIsFirst(Processor p)
    {
        var device = DeviceAt(p, p.Arg(0));
        device.CurrentIrp = p.Arg(1);
        if (p.Arg(3) == 0) return p.Goto(4);
        if ((p.Memory.ReadU32(StartIoState(p) + 0x40) & StartIoNoCancel) != 0)
        {
            var irp = IrpAt(p, p.Arg(1));
            irp.CancelRoutine = 0;
        }
        return p.Call("IoReleaseCancelSpinLock", 4, (byte)p[1]);
    }

    private static Next StartFirstPacket(Processor p) => p.Call(DeviceAt(p, p.Arg(0)).DriverObject.DriverStartIo, 6, p.Arg(0), p.Arg(1));

    private static Next CheckPacketCancel(Processor p)
    {
        if (p.Arg(3) == 0) return p.Goto(6);
        var irp = IrpAt(p, p.Arg(1));
        var routine = irp.CancelRoutine;
        if (!irp.Cancel || routine == 0) return p.Call("IoReleaseCancelSpinLock", 6, (byte)p[1]);
        // Cancelled before it was queued: the cancel routine releases the lock.
        irp.CancelIrql = (byte)p[1];
        irp.CancelRoutine = 0;
        return p.Call(routine, 6, p.Arg(0), p.Arg(1));
    }

    private static Next LowerAfterPacket(Processor p)
    {
        p.Irql = (byte)p[0];
        return p.Return();
    }

    private static Next BeginNextPacket(Processor p)
    {
        var state = StartIoState(p);
        if ((p.Memory.ReadU32(state + 0x40) & StartIoDeferred) == 0) return p.Call("IopStartNextPacket", 2, p.Arg(0), p.Arg(1), p.Arg(2));
        var count = p.Memory.ReadU32(state + 0x38) + 1;
        p.Memory.WriteU32(state + 0x38, count);
        if (count == 1) return p.Call("IopStartNextPacket", 1, p.Arg(0), p.Arg(1), p.Arg(2));
        // StartIo of this very device runs: whoever called it goes on with this one.
        p.Memory.WriteU32(state + 0x3C, p.Arg32(1));
        p.Memory.WriteU32(state + 0x40, p.Memory.ReadU32(state + 0x40) & (StartIoDeferred | StartIoNoCancel) | p.Arg32(2));
        return p.Return();
    }

    private static Next NextPacketStarted(Processor p)
    {
        var state = StartIoState(p);
        var count = p.Memory.ReadU32(state + 0x38) - 1;
        p.Memory.WriteU32(state + 0x38, count);
        if (count == 0) return p.Return();
        p.Memory.WriteU32(state + 0x38, 1);
        return p.Call("IopStartNextPacket", 1, p.Arg(0), p.Memory.ReadU32(state + 0x3C), p.Memory.ReadU32(state + 0x40) & (StartIoNoKey | StartIoWithKey | StartIoCancelable));
    }

    private static Next LockForNextPacket(Processor p) =>
        (p.Arg32(2) & StartIoCancelable) != 0 ? p.Call("IoAcquireCancelSpinLock", 1, p.LocalAddress(1)) : p.Goto(1);

    private static Next TakeNextPacket(Processor p)
    {
        var device = DeviceAt(p, p.Arg(0));
        device.CurrentIrp = 0;
        var entry = RemoveDeviceQueue(p, device.DeviceQueue, (p.Arg32(2) & StartIoWithKey) != 0 ? p.Arg32(1) : null);
        p[0] = entry == 0 ? 0 : entry - QueueEntryOfIrp;
        if (entry != 0) device.CurrentIrp = p[0];
        return p.Goto(2);
    }

    private static Next UnlockNextPacket(Processor p)
    {
        if ((p.Arg32(2) & StartIoCancelable) == 0) return p.Goto(3);
        if (p[0] != 0 && (p.Memory.ReadU32(StartIoState(p) + 0x40) & StartIoNoCancel) != 0)
        {
            var irp = IrpAt(p, p[0]);
            irp.CancelRoutine = 0;
        }
        return p.Call("IoReleaseCancelSpinLock", 3, (byte)p[1]);
    }

    private static Next StartTakenPacket(Processor p) =>
        p[0] == 0 ? p.Return() : p.Call(DeviceAt(p, p.Arg(0)).DriverObject.DriverStartIo, 4, p.Arg(0), p[0]);
}
