using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>
/// Completion ports, and the requests of files that have one. Since NT 6.0 such a request belongs to no thread (thread-agnostic I/O): its IRP
/// is on FILE_OBJECT.IrpList, its thread may end before it, and whoever waits for it in a dying process is the thread that closes the handle.
/// </summary>
/// <remarks>
/// IO_COMPLETION_CONTEXT, what FILE_OBJECT.CompletionContext points to: Port +0, Key +8 (public symbols). The port is a KQUEUE: EntryListHead
/// +0x18. A packet is ours: LIST_ENTRY +0, Key +0x10, ApcContext +0x18, IO_STATUS_BLOCK +0x20.
/// </remarks>
internal static partial class Io
{
    private const int PortSize = 0x40;
    private const ulong PortEntries = 0x18, PacketKey = 0x10, PacketApcContext = 0x18, PacketStatus = 0x20, PacketSize = 0x30;

    /// <summary>FILE_INFORMATION_CLASS (wdm.h).</summary>
    private const uint FileCompletionInformation = 30;

    private static void DefinePorts(NtRoutines nt)
    {
        // Locals: 0 file object, 1 status.
        nt.Add("NtSetInformationFile", 2, SetFileInformation, p => p.Return(p[1]));
        // Local 0: the port.
        nt.Add("NtRemoveIoCompletion", 1, AwaitPacket, TakePacket);
        // IopCleanupProcessResources(Process, FileObject). Local 0: the interval.
        nt.Add("IopCleanupProcessResources", 1, BeginFileRundown, CancelNextInRundown, RundownPolls);
    }

    /// <summary>A completion port with one reference.</summary>
    public static ulong CreatePort(Machine machine)
    {
        var port = Ob.Create(machine, Ob.CompletionType, PortSize);
        new DispatcherHeader(machine.Memory, port).Initialize(DispatcherType.Queue, PortSize, 0);
        Entries(machine, port).Initialize();
        return port;
    }

    /// <summary>A port's last reference went: packets that nobody took go with it.</summary>
    public static void DeletePort(Machine machine, ulong port)
    {
        foreach (var packet in Entries(machine, port).Entries()) Ex.Free(machine, packet);
    }

    /// <summary>A file object goes: it lets go of its port.</summary>
    public static void LeavePort(Machine machine, FileObject file)
    {
        if (file.CompletionContext == 0) return;
        Ob.DereferenceNow(machine, machine.Memory.ReadU64(file.CompletionContext));
        Ex.Free(machine, file.CompletionContext);
    }

    private static ListHead Entries(Machine machine, ulong port) => new(machine.Memory, port + PortEntries);

    // NtSetInformationFile(FileHandle, IoStatusBlock, FileInformation, Length, FileInformationClass)
    private static Next SetFileInformation(Processor p)
    {
        if (p.Arg32(4) != FileCompletionInformation) throw new UnmodelledException("nt!NtSetInformationFile", $"file information class {p.Arg32(4)}");
        if (p.Arg32(3) < 0x10) return p.Return(NtStatus.InfoLengthMismatch);
        var status = Ob.FromHandle(p, p.Arg(0), Ob.FileType, out var body, out _);
        if (status.IsError) return p.Return(status);
        status = JoinPort(p, FileAt(p, body), p.Memory.ReadU64(p.Arg(2)), p.Memory.ReadU64(p.Arg(2) + 8));
        if (status.IsSuccess)
        {
            p.Memory.WriteU32(p.Arg(1), status.Value);
            p.Memory.WriteU64(p.Arg(1) + 8, 0);
        }
        p[1] = status.Value;
        return p.Call("ObfDereferenceObject", 1, body);
    }

    // A synchronous file can have no port, and no file a second one (learn.microsoft.com, CreateIoCompletionPort).
    private static NtStatus JoinPort(Processor p, FileObject file, ulong portHandle, ulong key)
    {
        if (file.IsSynchronous || file.CompletionContext != 0) return NtStatus.InvalidParameter;
        var status = Ob.FromHandle(p, portHandle, Ob.CompletionType, out var port, out _);
        if (status.IsError) return status;
        var joined = Ex.Allocate(p.Machine, Ex.NonPaged, 0x10, "IoCc");
        p.Memory.WriteU64(joined, port);
        p.Memory.WriteU64(joined + 8, key);
        file.CompletionContext = joined;
        return NtStatus.Success;
    }

    /// <summary>Puts a request on the list where its rundown looks for it: its thread's, or that of its file.</summary>
    private static void Enlist(Processor p, Irp irp, FileObject file)
    {
        if (file.CompletionContext == 0)
        {
            irp.Thread.IrpList.InsertHead(irp.ThreadListEntry);
            return;
        }
        // The thread may end before its request, and the IRP names it to the last.
        Ob.Reference(p.Memory, irp.Thread.Address);
        file.IrpList.InsertHead(irp.ThreadListEntry);
    }

    private static bool IsThreadAgnostic(Irp irp) =>
        !irp.OriginalFileObject.IsNull && irp.OriginalFileObject.CompletionContext != 0 && IrpsOfFile(irp.OriginalFileObject).Contains(irp);

    private static IEnumerable<Irp> IrpsOfFile(FileObject file)
    {
        foreach (var entry in file.IrpList.Entries()) yield return new Irp(file.Memory, entry - 0x20);
    }

    /// <summary>A process's requests on a file that a driver still has.</summary>
    private static IEnumerable<Irp> RequestsOn(FileObject file, Structures.Process process)
    {
        foreach (var entry in process.ThreadListHead.Entries())
            foreach (var irp in OutstandingIrps(new Structures.Thread(process.Memory, entry - 0x4E8)))
                if (irp.OriginalFileObject == file && irp.CurrentLocation <= irp.StackCount) yield return irp;
        foreach (var irp in IrpsOfFile(file))
            if (irp.Thread.Process.Address == process.Address && irp.CurrentLocation <= irp.StackCount) yield return irp;
    }

    /// <summary>
    /// The completion of a request that belongs to no thread needs no APC: whoever completes it writes to the process that asked, which
    /// can't have gone before it (IopCleanupProcessResources).
    /// </summary>
    private static Next CompleteInProcess(Processor p, Irp irp)
    {
        var (file, space) = (irp.OriginalFileObject, p.Memory.Space);
        p.Memory.Space = irp.Thread.Process.DirectoryTableBase;
        Deliver(p, irp, file);
        p.Memory.Space = space;
        return p.Call("ObfDereferenceObject", 4, file.Address);
    }

    /// <summary>A completion packet, where the caller gave an OVERLAPPED to be told by.</summary>
    private static void Post(Machine machine, Irp irp, FileObject file)
    {
        if (file.IsNull || file.CompletionContext == 0 || irp.UserApcContext == 0) return;
        var m = machine.Memory;
        var port = m.ReadU64(file.CompletionContext);
        var packet = Ex.Allocate(machine, Ex.NonPaged, PacketSize, "Icp ");
        m.WriteU64(packet + PacketKey, m.ReadU64(file.CompletionContext + 8));
        m.WriteU64(packet + PacketApcContext, irp.UserApcContext);
        m.WriteU64(packet + PacketStatus, irp.Status.Value);
        m.WriteU64(packet + PacketStatus + 8, irp.Information);
        Entries(machine, port).InsertTail(new ListHead(m, packet));
        var header = new DispatcherHeader(m, port);
        header.SignalState++;
        Ke.SatisfyWaits(machine, header);
    }

    // NtRemoveIoCompletion(Handle, KeyContext*, ApcContext*, IoStatusBlock*, Timeout*)
    private static Next AwaitPacket(Processor p)
    {
        var status = Ob.FromHandle(p, p.Arg(0), Ob.CompletionType, out var port, out _);
        if (status.IsError) return p.Return(status);
        p[0] = port;
        return p.Call("KeWaitForSingleObject", 1, port, (ulong)WaitReason.WrQueue, (ulong)p.CurrentThread.PreviousMode, 0, p.Arg(4));
    }

    private static Next TakePacket(Processor p)
    {
        var m = p.Memory;
        var status = p.ResultStatus;
        if (status == NtStatus.Success)
        {
            var packet = new ListHead(m, Entries(p.Machine, p[0]).Flink);
            m.WriteU64(p.Arg(1), m.ReadU64(packet.Address + PacketKey));
            m.WriteU64(p.Arg(2), m.ReadU64(packet.Address + PacketApcContext));
            p.Machine.Copy(p.Arg(3), packet.Address + PacketStatus, 0x10);
            packet.Remove();
            Ex.Free(p.Machine, packet.Address);
        }
        Ob.DereferenceNow(p.Machine, p[0]);
        return p.Return(status);
    }

    /// <summary>The process's last handle of the file is closed: what it asked there is cancelled and waited for. No limit is documented.</summary>
    private static Next BeginFileRundown(Processor p)
    {
        BeginWalk(IrpsInRundown(p));
        p.Irql = Ke.ApcLevel;
        return p.Goto(1);
    }

    private static Next CancelNextInRundown(Processor p)
    {
        foreach (var irp in IrpsInRundown(p))
            if (Visit(irp)) return p.Call("IoCancelIrp", 1, irp.Address);
        return p.Goto(2);
    }

    private static Next RundownPolls(Processor p)
    {
        p.Irql = Ke.PassiveLevel;
        if (!IrpsInRundown(p).Any()) return p.Return();
        p[0] = HundredMilliseconds;
        return p.Call("KeDelayExecutionThread", 2, (ulong)ProcessorMode.KernelMode, 0, p.LocalAddress(0));
    }

    private static IEnumerable<Irp> IrpsInRundown(Processor p)
    {
        var process = p.Arg(0);
        return IrpsOfFile(FileAt(p, p.Arg(1))).Where(irp => irp.Thread.Process.Address == process);
    }
}
