using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>The I/O manager. Step by step after the facts on ReactOS' iomgr and Windows' public documentation; names are NT's.</summary>
internal static partial class Io
{
    public static void Define(NtRoutines nt)
    {
        DefineDrivers(nt);
        DefineUnload(nt);
        DefineDevices(nt);
        DefineFiles(nt);
        DefineIrps(nt);
        DefineRequests(nt);
        DefineCompletion(nt);
        DefinePorts(nt);
        DefineCancel(nt);
        DefineCancelSafeQueues(nt);
        DefineDeviceQueues(nt);
        DefineRemoveLocks(nt);
        DefineMiscellaneous(nt);
    }

    private static Irp IrpAt(Processor p, ulong address) => new(p.Memory, address);

    private static FileObject FileAt(Processor p, ulong address) => new(p.Memory, address);

    private static DeviceObject DeviceAt(Processor p, ulong address) => new(p.Memory, address);

    /// <summary>The IRPs of a thread.</summary>
    public static IEnumerable<Irp> OutstandingIrps(Structures.Thread thread)
    {
        foreach (var entry in thread.IrpList.Entries()) yield return new Irp(thread.Memory, entry - 0x20);
    }

    /// <summary>The name a person knows a device by: its object name, or its address.</summary>
    public static string NameOf(Machine machine, DeviceObject device) =>
        device.IsNull ? "(none)" : Ob.NameOf(machine, device.Address) ?? new KernelAddress(device.Address).ToString();

    /// <summary>True when the client's memory can be written; the probe of a user buffer.</summary>
    private static bool IsWritable(GuestMemory m, ulong address, ulong length)
    {
        if (length == 0) return true;
        if (!AddressMap.IsUser(address) || !AddressMap.IsUser(address + length - 1)) return false;
        for (var page = address & ~0xFFFul; page < address + length; page += 0x1000)
            if ((m.AccessOf(page) & PageAccess.Write) == 0) return false;
        return true;
    }

    private static bool IsReadable(GuestMemory m, ulong address, ulong length)
    {
        if (length == 0) return true;
        if (!AddressMap.IsUser(address) || !AddressMap.IsUser(address + length - 1)) return false;
        for (var page = address & ~0xFFFul; page < address + length; page += 0x1000)
            if ((m.AccessOf(page) & PageAccess.Read) == 0) return false;
        return true;
    }
}
