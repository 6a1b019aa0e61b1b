using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>The calls that clients make, and how they come back.</summary>
internal sealed partial class Clients
{
    private bool TryLocate(ulong rip, out Place place)
    {
        place = default;
        var offset = rip - AddressMap.UserImage;
        if (offset >= (ulong)_clients.Count * ProcessStride) return false;
        var client = _clients[(int)(offset / ProcessStride)];
        var thread = (int)(offset % ProcessStride / ThreadStride);
        if (thread >= client.Told.Count) return false;
        var index = (int)(offset % ThreadStride / ActStride);
        var acts = client.Told[thread].Acts;
        place = new Place(client, thread, index < acts.Count ? acts[index] : null, (offset & ReturnPlace) != 0);
        return true;
    }

    /// <summary>The client thread on this processor does what its instruction pointer says.</summary>
    public void Act(Processor p)
    {
        if (!TryLocate(p.Registers.Rip, out var at)) throw new BugCheckException(0xFC, p.Registers.Rip, 0, 0, 0);
        var thread = p.CurrentThread;
        thread.CurrentRunTime = 0;
        if (at.Act is null) EndOfScript(p, at);
        else if (at.Returned) CallCameBack(p, at, at.Act);
        else BeginAct(p, at, at.Act);
    }

    private void EndOfScript(Processor p, Place at)
    {
        // The story is over: the harness goes, and the driver's service is stopped.
        if (at.Client.Name == Story.Controller)
        {
            machine.BeforeStop();
            NtData.EndStory(machine.Memory);
            Ps.StartSystemThread(machine, NtImage.Instance["IopUnloadDriver"], NtData.DriverUnderTest(machine.Memory));
        }
        p.EnterService("NtTerminateThread", p.Registers.Rip, ulong.MaxValue - 1, 0);
    }

    private void BeginAct(Processor p, Place at, Act act)
    {
        var m = machine.Memory;
        var client = at.Client;
        switch (act)
        {
            case OpenDevice open:
                Enter(p, at, $"CreateFile({open.Device ?? "device"}{open.File}{(open.Overlapped ? ", FILE_FLAG_OVERLAPPED" : "")})");
                var place = client.Places[act];
                if (open.Request is { } create) Begin(client.Requests[create]);
                Serve(p, "NtCreateFile", client.Variables[open.Handle], 0xC0100080, place + 0x10, place + 0x60, 0, 0, 7, 1, open.Overlapped ? 0x40u : 0x60u, 0, 0);
                break;
            case AssociateCompletionPort associate:
                Enter(p, at, $"CreateIoCompletionPort({associate.Handle})");
                Serve(p, "NtSetInformationFile", Handle(client, associate.Handle), client.Places[act] + 0x10, client.Places[act], 0x10, 30);
                break;
            case AwaitRequest or DequeueCompletion when m.ReadU64(client.Requests[RequestOf(act)!].Block + Progress) == Failed:
                // A program does not wait for what it was refused.
                p.Registers.Rip += ActStride;
                break;
            case DequeueCompletion dequeue:
                Enter(p, at, $"GetQueuedCompletionStatus(port of {dequeue.Handle})");
                Serve(p, "NtRemoveIoCompletion", client.Ports[dequeue.Handle], client.Places[act], client.Places[act] + 8, client.Places[act] + 0x10, 0);
                break;
            case DeviceControl control:
                var request = client.Requests[control.Request];
                var overlapped = client.Overlapped.GetValueOrDefault(control.Handle);
                Enter(p, at, $"DeviceIoControl({control.Handle}, 0x{control.Code:x})");
                Begin(request);
                Serve(p, "NtDeviceIoControlFile", Handle(client, control.Handle), m.ReadU64(request.Block + EventHandle), 0, overlapped ? request.Block : 0, request.Block, control.Code,
                    request.Input, (ulong)control.Input.Length, request.Output, (ulong)control.OutputLength);
                break;
            case ReadFile read:
                Enter(p, at, $"ReadFile({read.Handle}, {read.Length})");
                Transfer(p, "NtReadFile", client, client.Requests[read.Request], client.Requests[read.Request].Output, read.Length);
                break;
            case WriteFile write:
                Enter(p, at, $"WriteFile({write.Handle}, {write.Input.Length})");
                Transfer(p, "NtWriteFile", client, client.Requests[write.Request], client.Requests[write.Request].Input, write.Input.Length);
                break;
            case CancelIo cancel:
                Enter(p, at, $"CancelIo({cancel.Handle})");
                Serve(p, "NtCancelIoFile", Handle(client, cancel.Handle), client.Places[act]);
                break;
            case CancelIoEx cancel:
                Enter(p, at, $"CancelIoEx({cancel.Handle}, {cancel.Request ?? "all"})");
                Serve(p, "NtCancelIoFileEx", Handle(client, cancel.Handle), cancel.Request is null ? 0 : client.Requests[cancel.Request].Block, client.Places[act]);
                break;
            case CancelSynchronousIo cancel:
                Enter(p, at, $"CancelSynchronousIo({cancel.Thread})");
                Serve(p, "NtCancelSynchronousIoFile", client.ThreadHandles[cancel.Thread], 0, client.Places[act]);
                break;
            case Close close:
                Enter(p, at, $"CloseHandle({close.Handle})");
                Serve(p, "NtClose", Handle(client, close.Handle));
                break;
            case Terminate terminate:
                Enter(p, at, $"TerminateProcess({terminate.Process}, 0x{terminate.ExitStatus:x})");
                Serve(p, "NtTerminateProcess", client.ProcessHandles[terminate.Process], terminate.ExitStatus);
                break;
            case Exit exit:
                Enter(p, at, $"ExitProcess(0x{exit.ExitStatus:x})");
                Serve(p, "NtTerminateProcess", ulong.MaxValue, exit.ExitStatus);
                break;
            case AwaitRequest await:
                Enter(p, at, $"GetOverlappedResult({await.Request}, wait)");
                Serve(p, "NtWaitForSingleObject", m.ReadU64(client.Requests[await.Request].Block + EventHandle), 0, 0);
                break;
            case Sleep sleep:
                m.WriteU64(client.Places[act], (ulong)-sleep.For.Ticks);
                Serve(p, "NtDelayExecution", 0, client.Places[act]);
                break;
            case UntilWaiting or UntilGone:
                // A wait as any other: the machine signals the event at the very step that makes the condition true.
                var condition = client.Places[act];
                m.WriteU64(condition, (ulong)-(act is UntilWaiting waiting ? waiting.Limit : ((UntilGone)act).Limit).Ticks);
                SignalIfOver(client, act);
                Serve(p, "NtWaitForSingleObject", m.ReadU64(condition + ConditionHandle), 0, condition);
                break;
            case Observe:
                // What is ready at this very instant runs first, here and on other processors: a thread that polls is seen waiting, not on its
                // way to the next wait.
                SetPriority(p, LastPriority);
                Serve(p, "NtYieldExecution");
                break;
            default:
                throw new UnmodelledException("act " + act.GetType().Name, "the emulated target doesn't play it");
        }
    }

    private void Begin(Request request)
    {
        machine.Memory.WriteU64(request.Block + Progress, Sent);
        machine.Memory.WriteU64(request.Block, NtStatus.Pending.Value);
    }

    // NtReadFile and NtWriteFile(FileHandle, Event, ApcRoutine, ApcContext, IoStatusBlock, Buffer, Length, ByteOffset, Key)
    private void Transfer(Processor p, string service, Client client, Request request, ulong buffer, int length)
    {
        Begin(request);
        var overlapped = client.Overlapped.GetValueOrDefault(request.Handle);
        Serve(p, service, Handle(client, request.Handle), machine.Memory.ReadU64(request.Block + EventHandle), 0, overlapped ? request.Block : 0, request.Block, buffer, (ulong)length, request.Block + ByteOffset, 0);
    }

    private static void SetPriority(Processor p, byte priority)
    {
        var thread = p.CurrentThread;
        thread.Priority = priority;
    }

    private static void Serve(Processor p, string service, params ReadOnlySpan<ulong> arguments) =>
        p.EnterService(service, p.Registers.Rip + ReturnPlace, arguments);

    private ulong Handle(Client client, string name) => client.Variables.TryGetValue(name, out var at) ? machine.Memory.ReadU64(at) : 0;

    private void Enter(Processor p, Place at, string call) =>
        machine.Log(new CallEntered(at.Client.Name, at.Client.Pid, (int)p.CurrentThread.UniqueThread, call, at.Act is { } act ? RequestOf(act) : null));

    private void CallCameBack(Processor p, Place at, Act act)
    {
        var m = machine.Memory;
        var status = new NtStatus((uint)p.Registers.Rax);
        var request = RequestOf(act) is { } asked ? at.Client.Requests[asked] : null;
        var information = 0ul;
        if (request is not null)
        {
            m.WriteU64(request.Block + Progress, act is IRequestAct && status.IsError ? Failed : CameBack);
            information = m.ReadU64(request.Block + 8);
            if (act is AwaitRequest or DequeueCompletion) status = new NtStatus(m.ReadU32(request.Block));
        }
        if (act is UntilWaiting or UntilGone)
        {
            ConditionPassed(act);
        }
        else if (act is Observe && OthersRun(p) && m.ReadU64(at.Client.Places[act]) < MostYields)
        {
            m.WriteU64(at.Client.Places[act], m.ReadU64(at.Client.Places[act]) + 1);
            p.Registers.Rip -= ReturnPlace;
            return;
        }
        else if (act is Observe observe)
        {
            SetPriority(p, ControllerPriority);
            Look(observe.Checkpoint);
        }
        else if (act is not Sleep) machine.Log(new CallReturned(at.Client.Name, at.Client.Pid, (int)p.CurrentThread.UniqueThread, CallName(act), request?.Name, status, information));
        // A client that cannot open its device has nothing left to do; the harness goes on without.
        if (act is OpenDevice && status.IsError && at.Client.Name != Story.Controller) p.Registers.Rip = CodeOf(at.Client, at.Thread) + ((ulong)at.Client.Told[at.Thread].Acts.Count * ActStride);
        else p.Registers.Rip += ActStride - ReturnPlace;
    }

    private bool OthersRun(Processor p) => machine.Processors.Any(other => other != p && !other.Halted);

    private static string CallName(Act act) => act switch
    {
        OpenDevice => "CreateFile",
        DeviceControl => "DeviceIoControl",
        Close => "CloseHandle",
        Terminate => "TerminateProcess",
        AwaitRequest => "GetOverlappedResult",
        AssociateCompletionPort => "CreateIoCompletionPort",
        DequeueCompletion => "GetQueuedCompletionStatus",
        _ => act.GetType().Name,
    };
}
