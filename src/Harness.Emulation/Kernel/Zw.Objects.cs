using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Events, mutants and semaphores by handle. OBJECT_ATTRIBUTES: RootDirectory +8, ObjectName +0x10, Attributes +0x18 (ntdef.h).</summary>
internal static partial class Zw
{
    private const uint OpenIf = 0x80, KernelHandle = 0x200;

    private static void DefineObjects(NtRoutines nt)
    {
        // NtCreateEvent(Handle*, Access, ObjectAttributes, EventType, InitialState)
        nt.Add("NtCreateEvent", p => Create(p, Ob.EventType, DispatcherHeader.Size, body =>
            new DispatcherHeader(p.Memory, body).Initialize((DispatcherType)p.Arg8(3), DispatcherHeader.Size, p.Arg8(4) != 0 ? 1 : 0)));
        nt.Add("NtOpenEvent", p => Open(p, Ob.EventType));
        nt.Add("NtSetEvent", p => WithObject(p, Ob.EventType, header => Ke.SetEvent(p.Machine, header), 1));
        nt.Add("NtResetEvent", p => WithObject(p, Ob.EventType, Reset, 1));
        nt.Add("NtClearEvent", p => WithObject(p, Ob.EventType, Reset, -1));
        // NtCreateSemaphore(Handle*, Access, ObjectAttributes, InitialCount, MaximumCount)
        nt.Add("NtCreateSemaphore", p =>
        {
            if ((int)p.Arg32(3) < 0 || (int)p.Arg32(4) <= 0 || (int)p.Arg32(3) > (int)p.Arg32(4)) return p.Return(NtStatus.InvalidParameter);
            return Create(p, Ob.SemaphoreType, 0x20, body =>
            {
                new DispatcherHeader(p.Memory, body).Initialize(DispatcherType.Semaphore, 0x20, (int)p.Arg32(3));
                p.Memory.WriteU32(body + 0x18, p.Arg32(4));
            });
        });
        nt.Add("NtOpenSemaphore", p => Open(p, Ob.SemaphoreType));
        // NtReleaseSemaphore(Handle, ReleaseCount, PreviousCount*)
        nt.Add("NtReleaseSemaphore", p =>
        {
            var status = Ob.FromHandle(p, p.Arg(0), Ob.SemaphoreType, out var body, out _);
            if (status.IsError) return p.Return(status);
            var header = new DispatcherHeader(p.Memory, body);
            var was = header.SignalState;
            if ((int)p.Arg32(1) <= 0 || was + (long)(int)p.Arg32(1) > (int)p.Memory.ReadU32(body + 0x18)) status = NtStatus.SemaphoreLimitExceeded;
            else
                for (var i = 0; i < (int)p.Arg32(1); i++) Ke.ReleaseSemaphore(p.Machine, header);
            if (status.IsSuccess && p.Arg(2) != 0) p.Memory.WriteU32(p.Arg(2), (uint)was);
            Ob.DereferenceNow(p.Machine, body);
            return p.Return(status);
        });
        // NtWaitForMultipleObjects(Count, Handles[], WaitType, Alertable, Timeout*). Locals: 0 pool: objects, waited-for objects, wait blocks; 1 status; 2 next to release.
        nt.Add("NtWaitForMultipleObjects", 3, BeginMultiple, MultipleWaited, ReleaseNext);
        // NtOpenProcess(Handle*, Access, ObjectAttributes, ClientId*)
        nt.Add("NtOpenProcess", p =>
        {
            if (p.Arg(3) == 0) return p.Return(NtStatus.InvalidParameter);
            var pid = p.Memory.ReadU64(p.Arg(3));
            foreach (var entry in NtData.ActiveProcesses(p.Memory).Entries())
                if (new Structures.Process(p.Memory, entry - 0x448) is var process && process.UniqueProcessId == pid) return GiveHandle(p, process.Address, NtStatus.Success);
            return p.Return(NtStatus.InvalidCid);
        });
    }

    private static int Reset(DispatcherHeader header)
    {
        var was = header.SignalState;
        header.SignalState = 0;
        return was;
    }

    private static uint Attributes(Processor p) => p.Arg(2) == 0 ? 0 : p.Memory.ReadU32(p.Arg(2) + 0x18);

    /// <summary>The full path that the attributes at argument 2 name; null when they name nothing.</summary>
    private static string? PathOf(Processor p)
    {
        if (p.Arg(2) == 0 || p.Memory.ReadU64(p.Arg(2) + 0x10) == 0) return null;
        var name = new UnicodeString(p.Memory, p.Memory.ReadU64(p.Arg(2) + 0x10)).Text;
        var root = p.Memory.ReadU64(p.Arg(2) + 8);
        if (root == 0) return name;
        if (Ob.FromHandle(p, root, 0, out var body, out _).IsError) return name;
        Ob.DereferenceNow(p.Machine, body);
        return Ob.NameOf(p.Machine, body) + (name.Length == 0 ? "" : "\\" + name);
    }

    private static Next GiveHandle(Processor p, ulong body, NtStatus status)
    {
        var kernel = (Attributes(p) & KernelHandle) != 0 && p.CurrentThread.PreviousMode == ProcessorMode.KernelMode;
        var handle = Ob.InsertHandleFor(p, body, kernel);
        if (handle == 0) return p.Return(NtStatus.InsufficientResources);
        p.Memory.WriteU64(p.Arg(0), handle);
        return p.Return(status);
    }

    private static Next Create(Processor p, int type, int size, Action<ulong> initialize)
    {
        var path = PathOf(p);
        var body = path is null ? 0 : Ob.Find(p.Machine, path);
        if (body != 0)
        {
            if ((Attributes(p) & OpenIf) == 0) return p.Return(NtStatus.ObjectNameCollision);
            // STATUS_OBJECT_NAME_EXISTS.
            return Ob.TypeOf(p.Memory, body) != type ? p.Return(NtStatus.ObjectTypeMismatch) : GiveHandle(p, body, new NtStatus(0x40000000));
        }
        if (path is not null && Ob.Find(p.Machine, path[..Math.Max(0, path.LastIndexOf('\\'))]) == 0) return p.Return(NtStatus.ObjectPathNotFound);
        body = Ob.Create(p.Machine, type, size, path);
        initialize(body);
        var next = GiveHandle(p, body, NtStatus.Success);
        Ob.DereferenceNow(p.Machine, body);
        return next;
    }

    private static Next Open(Processor p, int type)
    {
        var body = PathOf(p) is { } path ? Ob.Find(p.Machine, path) : 0;
        if (body == 0) return p.Return(NtStatus.ObjectNameNotFound);
        return Ob.TypeOf(p.Memory, body) != type ? p.Return(NtStatus.ObjectTypeMismatch) : GiveHandle(p, body, NtStatus.Success);
    }

    private static Next WithObject(Processor p, int type, Func<DispatcherHeader, int> action, int previous)
    {
        var status = Ob.FromHandle(p, p.Arg(0), type, out var body, out _);
        if (status.IsError) return p.Return(status);
        var was = action(new DispatcherHeader(p.Memory, body));
        if (previous >= 0 && p.Arg(previous) != 0) p.Memory.WriteU32(p.Arg(previous), (uint)was);
        Ob.DereferenceNow(p.Machine, body);
        return p.Return(NtStatus.Success);
    }

    private static Next BeginMultiple(Processor p)
    {
        var count = p.Arg32(0);
        // MAXIMUM_WAIT_OBJECTS; STATUS_INVALID_PARAMETER_1.
        if (count is 0 or > 64) return p.Return(NtStatus.InvalidParameter1);
        var size = count * (16ul + WaitBlock.Size);
        p[0] = Ex.Allocate(p.Machine, Ex.NonPaged, size, "Wait");
        p.Memory.Fill(p[0], size, 0);
        p[2] = 0;
        for (var i = 0ul; i < count; i++)
        {
            var status = Ob.FromHandle(p, p.Memory.ReadU64(p.Arg(1) + (i * 8)), 0, out var body, out _);
            if (status.IsSuccess)
            {
                p.Memory.WriteU64(p[0] + (i * 8), body);
                if (!IsWaitable(Ob.TypeOf(p.Memory, body), body, p, out var header)) status = NtStatus.ObjectTypeMismatch;
                p.Memory.WriteU64(p[0] + ((count + i) * 8), header);
            }
            if (!status.IsError) continue;
            p[1] = status.Value;
            return p.Goto(2);
        }
        return p.Call("KeWaitForMultipleObjects", 1, count, p[0] + (count * 8), p.Arg32(2), (ulong)WaitReason.UserRequest, (ulong)p.CurrentThread.PreviousMode, p.Arg8(3), p.Arg(4), p[0] + (count * 16ul));
    }

    private static Next MultipleWaited(Processor p)
    {
        p[1] = p.ResultStatus.Value;
        return p.Goto(2);
    }

    private static Next ReleaseNext(Processor p)
    {
        var body = p[2] < p.Arg32(0) ? p.Memory.ReadU64(p[0] + (p[2] * 8)) : 0;
        if (body == 0)
        {
            Ex.Free(p.Machine, p[0]);
            return p.Return(p[1]);
        }
        p[2]++;
        return p.Call("ObfDereferenceObject", 2, body);
    }
}
