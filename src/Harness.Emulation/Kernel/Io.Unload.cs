using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>
/// The end of every run: the driver's service is stopped. A driver whose devices nobody uses any more is unloaded, and whatever it leaves behind
/// is told; one that somebody still uses stays, as it does on Windows, where the service hangs in STOP_PENDING.
/// </summary>
internal static partial class Io
{
    /// <summary>How long nt waits for the harness's own handles to be closed, and a harness for DriverUnload; in 100 ns units.</summary>
    private const long UnloadPatience = 6_000_000_000;

    private static void DefineUnload(NtRoutines nt)
    {
        // IopUnloadDriver(DriverObject), on a system thread. Local 0: a time-out, later the first pool record that is not the driver's leak.
        nt.Add("IopUnloadDriver", 1, AwaitHarness, BeginUnload, UnloadReturned);
    }

    private static Next AwaitHarness(Processor p)
    {
        p[0] = unchecked((ulong)-UnloadPatience);
        return p.Call("KeWaitForSingleObject", 1, p.Machine.Clients.Controller.Address, (ulong)WaitReason.Executive, (ulong)ProcessorMode.KernelMode, 0, p.LocalAddress(0));
    }

    private static Next BeginUnload(Processor p)
    {
        var machine = p.Machine;
        var driver = new DriverObject(p.Memory, p.Arg(0));
        if (Users(machine, driver) is { } why)
        {
            machine.Log(new DriverNotUnloaded(machine.ModuleOf(driver.DriverStart), why));
            machine.Finished = true;
            return p.Return();
        }
        NtData.SetUnloadLimit(p.Memory, NtData.InterruptTime(p.Memory) + UnloadPatience);
        return p.Call(driver.DriverUnload, 2, driver.Address);
    }

    /// <summary>Why a driver can't be unloaded; null: it can.</summary>
    private static string? Users(Machine machine, DriverObject driver)
    {
        for (var device = driver.DeviceObject; !device.IsNull; device = device.NextDevice)
        {
            var name = NameOf(machine, device);
            if (device.ReferenceCount > 0) return $"{device.ReferenceCount} open file object{(device.ReferenceCount > 1 ? "s" : "")} on {name}";
            if (!device.AttachedDevice.IsNull && device.AttachedDevice.DriverObject != driver) return $"another driver's device is attached to {name}";
        }
        return driver.DriverUnload == 0 ? "it has no DriverUnload routine" : null;
    }

    private static Next UnloadReturned(Processor p)
    {
        var machine = p.Machine;
        var driver = new DriverObject(p.Memory, p.Arg(0));
        Ke.RequireLevel(p, driver.DriverUnload, "DriverUnload", Ke.PassiveLevel);
        foreach (var fault in LeftBy(machine, driver)) machine.Log(fault);
        machine.Log(new DriverUnloaded(machine.ModuleOf(driver.DriverStart)));
        machine.Finished = true;
        return p.Return();
    }

    /// <summary>DriverUnload has not come back within its time: nothing of nt limits it.</summary>
    public static DriverFault UnloadHangs(Machine machine)
    {
        var routine = machine.NameOf(new DriverObject(machine.Memory, NtData.DriverUnderTest(machine.Memory)).DriverUnload);
        return new DriverFault("unload-never-returns", routine, $"DriverUnload ({routine}) had not returned after {TimeSpan.FromTicks(UnloadPatience).TotalMinutes:0} minutes.", Fatal: true, []);
    }

    /// <summary>
    /// What an unloaded driver must have taken back: its code is about to go, and whoever still calls it stops the machine with bug check 0xCE;
    /// its memory has no owner any more (Driver Verifier: bug check 0xC4, code 0x62).
    /// </summary>
    private static IEnumerable<DriverFault> LeftBy(Machine machine, DriverObject driver)
    {
        var m = machine.Memory;
        var name = machine.ModuleOf(driver.DriverStart);
        bool IsIn(ulong address) => address - driver.DriverStart < driver.DriverSize;
        DriverFault Left(string id, string what) => new(id, name, $"{what} when DriverUnload returned.", Fatal: false, []);

        foreach (var timer in Ke.ActiveTimers(m))
            if (IsIn(timer.Address) || timer.Dpc != 0 && IsIn(new Dpc(m, timer.Dpc).DeferredRoutine))
                yield return Left("timer-left-at-unload", $"The timer at {new KernelAddress(timer.Address)} was still counting{(timer.Dpc != 0 ? $", its DPC is {machine.NameOf(new Dpc(m, timer.Dpc).DeferredRoutine)}," : "")}");
        foreach (var p in machine.Processors)
            foreach (var entry in NtData.DpcList(m, p.Number).Entries())
                if (new Dpc(m, entry - 8) is var dpc && IsIn(dpc.DeferredRoutine))
                    yield return Left("dpc-left-at-unload", $"A DPC was still queued, {machine.NameOf(dpc.DeferredRoutine)},");
        foreach (var item in NtData.WorkItems(m).Entries())
            if (IsIn(m.ReadU64(item + 0x10)) || IsIn(m.ReadU64(item + 0x20)))
                yield return Left("work-item-left-at-unload", $"A work item was still queued, {machine.NameOf(IsIn(m.ReadU64(item + 0x10)) ? m.ReadU64(item + 0x10) : m.ReadU64(item + 0x20))},");
        foreach (var entry in NtData.System(m).ThreadListHead.Entries())
            if (new Structures.Thread(m, entry - 0x4E8) is var thread && thread.State != ThreadState.Terminated && IsIn(thread.StartAddress))
                yield return Left("thread-left-at-unload", $"The system thread {thread.UniqueThread} that began at {machine.NameOf(thread.StartAddress)} was still there");
        for (var device = driver.DeviceObject; !device.IsNull; device = device.NextDevice)
            yield return Left("device-left-at-unload", $"The device {NameOf(machine, device)} was still there");
        foreach (var link in Ob.DanglingLinks(machine))
            yield return Left("symbolic-link-left-at-unload", $"The symbolic link {link} still named a device that is gone");
        foreach (var resource in NtData.Resources(m).Entries())
            if (IsIn(resource)) yield return Left("resource-left-at-unload", $"The ERESOURCE at {machine.NameOf(resource)} had not been deleted");
        foreach (var entry in NtData.Lookasides(m).Entries())
            if (IsIn(entry)) yield return Left("lookaside-list-left-at-unload", $"The lookaside list at {machine.NameOf(entry - Ex.LookasideEntry)} had not been deleted");
        foreach (var callback in Ex.RegisteredCallbacks(m))
            if (IsIn(callback)) yield return Left("callback-left-at-unload", $"The callback {machine.NameOf(callback)} was still registered");
        // nt keeps no handles in the table of System: what is open there was opened by a driver.
        foreach (var (handle, body) in Ob.Handles(NtData.System(m)))
            yield return Left("handle-left-at-unload", $"The handle 0x{handle:x} of the System process, to the {Ob.Described(machine, body)}, was still open");
        foreach (var body in Ob.KeptByReference(m).Except(Ke.Waits(m).Select(wait => wait.Object)))
            yield return Left("reference-left-at-unload", $"The {Ob.Described(machine, body)} had no handle any more, and a reference to it was kept");
        foreach (var leak in Ex.Records(m).Where(record => !record.IsFreed && record.Owner == driver.DriverStart).GroupBy(record => record.Tag))
        {
            var first = Ex.Told(machine, leak.First());
            yield return Left("pool-leak", $"{leak.Count()} pool block{(leak.Count() > 1 ? "s" : "")} with tag '{first.Tag}', {leak.Sum(record => (long)record.Length)} bytes, the first allocated by {first.AllocatedBy[0]}, {(leak.Count() > 1 ? "were" : "was")} not freed")
                with { By = first.AllocatedBy[0], Block = first };
        }
    }
}
