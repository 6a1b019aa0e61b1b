using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>System services: the Nt routine, and Zw, which is how drivers call it: with PreviousMode = KernelMode.</summary>
internal static partial class Zw
{
    public static void Define(NtRoutines nt)
    {
        // Local 0: the object.
        nt.Add("NtWaitForSingleObject", 1, WaitForHandle, HandleWaited, p => p.Return(p.Arg32(0)));
        // NtDelayExecution(Alertable, Interval*). Locals: 0 the interval.
        nt.Add("NtDelayExecution", 1, Delay, p => p.Return(p.Result));
        DefineObjects(nt);
        DefineRegistry(nt);
        foreach (var (name, arguments) in s_services) Enter(nt, name, arguments);
    }

    /// <summary>Services with both names, and how many arguments each takes.</summary>
    private static readonly (string Name, int Arguments)[] s_services =
    [
        ("Close", 1),
        ("WaitForSingleObject", 3),
        ("DelayExecution", 2),
        ("YieldExecution", 0),
        ("CreateFile", 11),
        ("OpenFile", 6),
        ("ReadFile", 9),
        ("WriteFile", 9),
        ("DeviceIoControlFile", 10),
        ("FsControlFile", 10),
        ("CancelIoFile", 2),
        ("CancelIoFileEx", 3),
        ("TerminateProcess", 2),
        ("WaitForMultipleObjects", 5),
        ("CreateEvent", 5),
        ("OpenEvent", 3),
        ("SetEvent", 2),
        ("ResetEvent", 2),
        ("ClearEvent", 1),
        ("CreateSemaphore", 5),
        ("OpenSemaphore", 3),
        ("ReleaseSemaphore", 3),
        ("OpenProcess", 4),
        ("OpenKey", 3),
        ("OpenKeyEx", 4),
        ("CreateKey", 7),
        ("QueryValueKey", 6),
        ("EnumerateValueKey", 6),
        ("EnumerateKey", 6),
        ("SetValueKey", 6),
        ("DeleteValueKey", 2),
        ("DeleteKey", 1),
        ("FlushKey", 1),
    ];

    /// <summary>ZwXxx: PreviousMode is KernelMode while NtXxx runs, and what it was afterwards. Local 0: what it was.</summary>
    private static void Enter(NtRoutines nt, string name, int arguments)
    {
        var service = "Nt" + name;
        nt.Add("Zw" + name, 1, p =>
        {
            var thread = p.CurrentThread;
            p[0] = (ulong)thread.PreviousMode;
            thread.PreviousMode = ProcessorMode.KernelMode;
            Span<ulong> passed = stackalloc ulong[arguments];
            for (var i = 0; i < arguments; i++) passed[i] = p.Arg(i);
            return p.Call(service, 1, passed);
        }, p =>
        {
            var thread = p.CurrentThread;
            thread.PreviousMode = (ProcessorMode)p[0];
            return p.Return(p.Result);
        });
    }

    // NtWaitForSingleObject(Handle, Alertable, Timeout*)
    private static Next WaitForHandle(Processor p)
    {
        var status = Ob.FromHandle(p, p.Arg(0), 0, out var body, out _);
        if (status.IsError) return p.Return(status);
        if (!IsWaitable(Ob.TypeOf(p.Memory, body), body, p, out var header))
        {
            Ob.DereferenceNow(p.Machine, body);
            return p.Return(NtStatus.ObjectTypeMismatch);
        }
        p[0] = body;
        return p.Call("KeWaitForSingleObject", 1, header, (ulong)WaitReason.UserRequest, (ulong)p.CurrentThread.PreviousMode, p.Arg8(1), p.Arg(2));
    }

    /// <summary>Where a wait for an object really waits; false for types nobody can wait for.</summary>
    private static bool IsWaitable(int type, ulong body, Processor p, out ulong header)
    {
        header = type == Ob.FileType ? new FileObject(p.Memory, body).Event.Address : body;
        return type is Ob.ProcessType or Ob.ThreadType or Ob.EventType or Ob.MutantType or Ob.SemaphoreType or Ob.TimerType or Ob.FileType;
    }

    private static Next HandleWaited(Processor p)
    {
        p.SetArg(0, p.Result);
        return p.Call("ObfDereferenceObject", 2, p[0]);
    }

    private static Next Delay(Processor p)
    {
        p[0] = p.Memory.ReadU64(p.Arg(1));
        return p.Call("KeDelayExecutionThread", 1, (ulong)p.CurrentThread.PreviousMode, p.Arg8(0), p.LocalAddress(0));
    }
}
