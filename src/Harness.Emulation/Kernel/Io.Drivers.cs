using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Driver objects: loading, and the dispatch routine of those who set none.</summary>
internal static partial class Io
{
    private static void DefineDrivers(NtRoutines nt)
    {
        // IopLoadDriver(DriverObject, RegistryPath), on a system thread.
        nt.Add("IopLoadDriver", p => p.Call(new DriverObject(p.Memory, p.Arg(0)).DriverInit, 1, p.Arg(0), p.Memory.ReadU64(p.Arg(0) + 0x150)), DriverEntryCameBack);
        nt.Add("IopInvalidDeviceRequest", RefuseRequest, p => p.Return(NtStatus.InvalidDeviceRequest));
        nt.Add("IoGetDriverObjectExtension", p => p.Return(FindClientExtension(p)));
        nt.Add("IoAllocateDriverObjectExtension", AllocateClientExtension);
        nt.Add("IoRegisterDriverReinitialization", p => throw new UnmodelledException("nt!IoRegisterDriverReinitialization", "routines that are called again after DriverEntry"));
        nt.Add("IoRegisterShutdownNotification", p => p.Return(NtStatus.Success));
        nt.Add("IoRegisterLastChanceShutdownNotification", p => p.Return(NtStatus.Success));
        nt.Add("IoUnregisterShutdownNotification", p => p.Return());
    }

    /// <summary>Makes the driver object of a mapped image. Behind it: the registry path (0x150), DRIVER_EXTENSION (0x160), the client extensions' list.</summary>
    public static DriverObject CreateDriver(Machine machine, string service, ulong start, uint size, ulong entry, ulong section)
    {
        var m = machine.Memory;
        var driver = new DriverObject(m, Ob.Create(machine, Ob.DriverType, DriverObject.Size + 0x80, "\\Driver\\" + service));
        driver.Type = 4;
        driver.ObjectSize = DriverObject.Size;
        driver.DriverStart = start;
        driver.DriverSize = size;
        driver.DriverSection = section;
        driver.DriverInit = entry;
        driver.DriverExtension = driver.Address + 0x160;
        // DRIVER_EXTENSION: DriverObject, AddDevice, Count, ServiceKeyName, ClientDriverExtension.
        m.WriteU64(driver.DriverExtension, driver.Address);
        Ob.WriteString(machine, driver.DriverExtension + 0x18, service);
        Ob.WriteString(machine, driver.DriverName.Address, "\\Driver\\" + service);
        var path = Ex.Allocate(machine, Ex.NonPaged, 0x10, "IoRg");
        Ob.WriteString(machine, path, "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services\\" + service);
        m.WriteU64(driver.Address + 0x150, path);
        for (var major = IrpMajor.Create; major <= IrpMajor.Pnp; major++) driver.SetMajorFunction(major, NtImage.Instance["IopInvalidDeviceRequest"]);
        return driver;
    }

    private static Next DriverEntryCameBack(Processor p)
    {
        var machine = p.Machine;
        var driver = new DriverObject(p.Memory, p.Arg(0));
        var devices = new List<string>();
        for (var device = driver.DeviceObject; !device.IsNull; device = device.NextDevice)
        {
            // The I/O manager ends the initialization of the devices that DriverEntry made.
            device.Flags &= ~DeviceObject.FlagDeviceInitializing;
            devices.Add(Ob.NameOf(machine, device.Address) ?? "(unnamed)");
        }
        machine.DriverEntryReturned(driver, p.ResultStatus, devices);
        return p.Return();
    }

    private static Next RefuseRequest(Processor p)
    {
        var irp = IrpAt(p, p.Arg(1));
        irp.Status = NtStatus.InvalidDeviceRequest;
        irp.Information = 0;
        return p.Call("IofCompleteRequest", 1, irp.Address, 0);
    }

    // IoAllocateDriverObjectExtension(DriverObject, ClientIdentificationAddress, DriverObjectExtensionSize, DriverObjectExtension*)
    private static Next AllocateClientExtension(Processor p)
    {
        if (FindClientExtension(p) != 0) return p.Return(NtStatus.ObjectNameCollision);
        var m = p.Memory;
        var head = new DriverObject(m, p.Arg(0)).DriverExtension + 0x28;
        var size = 0x10 + p.Arg32(2);
        var block = Ex.Allocate(p.Machine, Ex.NonPaged, size, "DrvE");
        m.Fill(block, size, 0);
        m.WriteU64(block, m.ReadU64(head));
        m.WriteU64(block + 8, p.Arg(1));
        m.WriteU64(head, block);
        m.WriteU64(p.Arg(3), block + 0x10);
        return p.Return(NtStatus.Success);
    }

    private static ulong FindClientExtension(Processor p)
    {
        var m = p.Memory;
        for (var block = m.ReadU64(new DriverObject(m, p.Arg(0)).DriverExtension + 0x28); block != 0; block = m.ReadU64(block))
            if (m.ReadU64(block + 8) == p.Arg(1)) return block + 0x10;
        return 0;
    }
}
