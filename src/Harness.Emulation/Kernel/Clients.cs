using System.Text;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;
using Harness.Emulation.Traces;

namespace Harness.Emulation.Kernel;

/// <summary>
/// The user part of the story's processes. A client thread's program is its script: the instruction pointer in user mode says which act
/// comes next, so where a client is lies in registers, trap frames and user memory, and nowhere else.
/// </summary>
/// <remarks>Each act has two places: at the first it makes its system call, at the second it has come back.</remarks>
internal sealed class Clients(Machine machine)
{
    private const ulong ProcessStride = 0x1000_0000, ThreadStride = 0x1_0000, ActStride = 0x20, ReturnPlace = 0x10;
    /// <summary>The harness's own thread goes before all others, so that a client which spins in its driver can't keep it from its story.</summary>
    private const byte ControllerPriority = 15, ClientPriority = 8, LastPriority = 1;

    /// <summary>How long an observer waits for the other processors to come to rest: one that spins never does.</summary>
    private const ulong MostYields = 1000;

    // A request's block in user memory: IO_STATUS_BLOCK +0, event handle +0x10, progress +0x18, file offset +0x20.
    private const ulong EventHandle = 0x10, Progress = 0x18, ByteOffset = 0x20;
    private const ulong Sent = 1, CameBack = 2, Failed = 3;

    // A condition's place in user memory: its limit as a relative time +0, the handle of its event +8.
    private const ulong ConditionHandle = 8;

    private readonly List<Client> _clients = [];

    public string NameOf(Structures.Process process)
    {
        foreach (var client in _clients)
            if (client.Process.Address == process.Address) return client.Name;
        return process.ImageFileName;
    }

    /// <summary>The request whose status block is at this user address.</summary>
    public string? RequestAt(ulong iosb)
    {
        foreach (var client in _clients)
            foreach (var request in client.Requests.Values)
                if (request.Block == iosb) return request.Name;
        return null;
    }

    /// <summary>The request that a thread is in a system call for.</summary>
    public string? RequestOf(Structures.Thread thread) =>
        thread.TrapFrame != 0 && TryLocate(new TrapFrame(machine.Memory, thread.TrapFrame).Rip, out var at) && at.Act is { } act ? RequestOf(act) : null;

    /// <summary>The name of the request that an act sends or waits for; null when it is about none.</summary>
    private static string? RequestOf(Act act) => act switch
    {
        IRequestAct request => request.Request,
        OpenDevice open => open.Request,
        AwaitRequest wait => wait.Request,
        DequeueCompletion wait => wait.Request,
        _ => null,
    };

    /// <summary>The harness's own process.</summary>
    public Structures.Process Controller => ClientOf(Story.Controller).Process;

    /// <summary>Processes of the story that have been created.</summary>
    public int Count => _clients.Count;

    /// <summary>A saved state from before the story has none of them.</summary>
    public void CutBackTo(int count) => _clients.RemoveRange(count, _clients.Count - count);

    // Starting.

    /// <summary>Creates the story's processes and lets their threads go.</summary>
    public void Start(Story story, string device)
    {
        var m = machine.Memory;
        foreach (var told in story.Processes)
        {
            var directory = NtData.TakeDirectory(m);
            var process = Ps.CreateProcess(machine, told.Name + ".exe", NtData.TakeCid(m), directory);
            var client = new Client(told.Name, _clients.Count, process, told.Threads);
            _clients.Add(client);
            m.Space = directory;
            m.Map(AddressMap.SharedUserDataOfUser, 0x1000, PageAccess.Read | PageAccess.User);
            foreach (var thread in told.Threads)
            {
                foreach (var act in thread.Acts) Prepare(client, act, device);
                m.Map(CodeOf(client, client.Threads.Count), 0x1000 * (1 + ((ulong)thread.Acts.Count * ActStride / 0x1000)), PageAccess.Execute | PageAccess.Slots | PageAccess.User);
                client.Threads.Add(Ps.CreateThread(machine, process, system: false, told.Name == Story.Controller ? ControllerPriority : ClientPriority));
            }
        }
        foreach (var client in _clients) OpenHandles(client);
        foreach (var client in _clients)
        {
            m.Space = client.Process.DirectoryTableBase;
            for (var i = 0; i < client.Threads.Count; i++)
            {
                var stack = client.Allocate(m, 0x1000, PageAccess.Read | PageAccess.Write) + 0xFD8;
                Ke.PrepareUserThread(client.Threads[i], CodeOf(client, i), stack);
                var thread = client.Threads[i];
                thread.Win32StartAddress = CodeOf(client, i);
                machine.Trace?.ThreadStarted(thread);
            }
            machine.Trace?.ImageLoaded(ImageOf(client));
        }
        foreach (var client in _clients)
            foreach (var thread in client.Threads)
            {
                machine.Trace?.Readied(thread);
                Ke.Ready(machine, thread);
            }
    }

    /// <summary>What a client's threads execute, as an image; null: the process is no client's.</summary>
    public ImageFacts? ImageOf(Structures.Process process) => _clients.Find(client => client.Process == process) is { } client ? ImageOf(client) : null;

    private static ImageFacts ImageOf(Client client) =>
        new(CodeOf(client, 0), (ulong)client.Threads.Count * ThreadStride, (uint)client.Pid, 0, 0, CodeOf(client, 0), client.Process.ImageFileName, null);

    private static ulong CodeOf(Client client, int thread) => AddressMap.UserImage + ((ulong)client.Index * ProcessStride) + ((ulong)thread * ThreadStride);

    /// <summary>Lays out in user memory what an act needs: names, buffers, variables.</summary>
    private void Prepare(Client client, Act act, string device)
    {
        var m = machine.Memory;
        switch (act)
        {
            case OpenDevice open:
                client.Variables.TryAdd(open.Handle, client.Allocate(m, 8));
                client.Overlapped[open.Handle] = open.Overlapped;
                var path = Encoding.Unicode.GetBytes(WithoutNamespace(open.Device ?? device) + open.File);
                var name = client.Allocate(m, (ulong)path.Length + 0x80);
                m.Write(name + 0x80, path);
                m.WriteU16(name, (ushort)path.Length);
                m.WriteU16(name + 2, (ushort)path.Length);
                m.WriteU64(name + 8, name + 0x80);
                // OBJECT_ATTRIBUTES at +0x10: Length, RootDirectory, ObjectName, Attributes = OBJ_CASE_INSENSITIVE.
                m.WriteU32(name + 0x10, 0x30);
                m.WriteU64(name + 0x20, name);
                m.WriteU32(name + 0x28, 0x40);
                client.Places[act] = name;
                if (open.Request is { } create) client.Requests[create] = new Request(create, open.Handle, AllocateBlock(client, 0), 0, 0);
                break;
            case AssociateCompletionPort or DequeueCompletion:
                client.Places[act] = client.Allocate(m, 0x40);
                break;
            case DeviceControl control:
                var block = client.Allocate(m, 0x40);
                var input = client.Allocate(m, (ulong)control.Input.Length);
                m.Write(input, control.Input);
                client.Requests[control.Request] = new Request(control.Request, control.Handle, block, control.Input.Length == 0 ? 0 : input, control.OutputLength == 0 ? 0 : client.Allocate(m, (ulong)control.OutputLength));
                break;
            case ReadFile read:
                client.Requests[read.Request] = new Request(read.Request, read.Handle, AllocateBlock(client, read.Offset), 0, read.Length == 0 ? 0 : client.Allocate(m, (ulong)read.Length));
                break;
            case WriteFile write:
                var bytes = client.Allocate(m, (ulong)write.Input.Length);
                m.Write(bytes, write.Input);
                client.Requests[write.Request] = new Request(write.Request, write.Handle, AllocateBlock(client, write.Offset), write.Input.Length == 0 ? 0 : bytes, 0);
                break;
            case UntilWaiting or UntilGone:
                client.Conditions.Add(act);
                client.Places[act] = client.Allocate(m, 0x20);
                break;
            case Sleep or CancelIo or CancelIoEx or CancelSynchronousIo or Observe:
                client.Places[act] = client.Allocate(m, 0x20);
                break;
            default:
                break;
        }
    }

    private ulong AllocateBlock(Client client, long offset)
    {
        var block = client.Allocate(machine.Memory, 0x40);
        machine.Memory.WriteU64(block + ByteOffset, (ulong)offset);
        return block;
    }

    private static string WithoutNamespace(string device) => device.StartsWith(@"\\.\", StringComparison.Ordinal) ? @"\??\" + device[4..] : device;

    /// <summary>Handles that a real client would have from CreateEvent, CreateProcess and CreateThread.</summary>
    private void OpenHandles(Client client)
    {
        var m = machine.Memory;
        m.Space = client.Process.DirectoryTableBase;
        foreach (var request in client.Requests.Values)
        {
            if (client.Overlapped.GetValueOrDefault(request.Handle)) m.WriteU64(request.Block + EventHandle, OpenEvent(client, out _));
        }
        foreach (var condition in client.Conditions)
        {
            m.WriteU64(client.Places[condition] + ConditionHandle, OpenEvent(client, out var body));
            client.ConditionEvents[condition] = new DispatcherHeader(m, body);
        }
        foreach (var thread in client.Told)
            foreach (var act in thread.Acts)
            {
                if (act is Terminate or UntilGone)
                {
                    var name = act is Terminate terminate ? terminate.Process : ((UntilGone)act).Process;
                    if (!client.ProcessHandles.ContainsKey(name)) client.ProcessHandles[name] = Ob.InsertHandle(client.Process, ClientOf(name).Process.Address);
                }
                if (act is AssociateCompletionPort associate) OpenPort(client, associate);
                if (act is CancelSynchronousIo cancel)
                {
                    var index = client.Told.ToList().FindIndex(t => t.Name == cancel.Thread);
                    client.ThreadHandles[cancel.Thread] = Ob.InsertHandle(client.Process, client.Threads[index].Address);
                }
            }
    }

    private ulong OpenEvent(Client client, out ulong body)
    {
        body = Ob.Create(machine, Ob.EventType, DispatcherHeader.Size);
        new DispatcherHeader(machine.Memory, body).Initialize(DispatcherType.NotificationEvent, DispatcherHeader.Size, 0);
        var handle = Ob.InsertHandle(client.Process, body);
        Ob.DereferenceNow(machine, body);
        return handle;
    }

    /// <summary>FILE_COMPLETION_INFORMATION: Port +0, Key +8 (ntifs.h).</summary>
    private void OpenPort(Client client, AssociateCompletionPort associate)
    {
        var port = Io.CreatePort(machine);
        machine.Memory.WriteU64(client.Places[associate], client.Ports[associate.Handle] = Ob.InsertHandle(client.Process, port));
        Ob.DereferenceNow(machine, port);
    }

    private Client ClientOf(string name) => _clients.First(c => c.Name == name);

    // Acting.

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

    // Conditions.

    /// <summary>After an action of a processor: conditions that have come true let their waiters go.</summary>
    public void SignalConditions()
    {
        foreach (var client in _clients)
            foreach (var condition in client.Conditions)
                if (client.ConditionEvents[condition] is var header && !header.WaitListHead.IsEmpty) SignalIfOver(client, condition);
    }

    private void SignalIfOver(Client client, Act condition)
    {
        if (IsOver(condition)) Ke.SetEvent(machine, client.ConditionEvents[condition]);
    }

    private bool IsOver(Act condition) =>
        condition is UntilGone gone ? ClientOf(gone.Process).Process.Header.SignalState != 0 : IsWaiting((UntilWaiting)condition, out var done) || done;

    private void ConditionPassed(Act condition) =>
        machine.Log(condition is UntilWaiting until
            ? new ConditionPassed("waiting", until.Process, until.Request, IsWaiting(until, out _))
            : new ConditionPassed("gone", ((UntilGone)condition).Process, null, IsOver(condition)));

    /// <summary>
    /// The request is with the driver, and its issuer waits: synchronous, in nt for the file object or in the driver itself for whatever;
    /// overlapped, for nothing. <paramref name="done"/>: it can't come to that any more.
    /// </summary>
    private bool IsWaiting(UntilWaiting until, out bool done)
    {
        var m = machine.Memory;
        var client = ClientOf(until.Process);
        var request = client.Requests[until.Request];
        Span<byte> bytes = stackalloc byte[0x20];
        done = client.Process.Header.SignalState != 0 || !m.TryReadIn(client.Process.DirectoryTableBase, request.Block, bytes);
        if (done) return false;
        var progress = BitConverter.ToUInt64(bytes[(int)Progress..]);
        var status = BitConverter.ToUInt32(bytes);
        if (client.Overlapped.GetValueOrDefault(request.Handle))
        {
            done = progress == Failed || progress == CameBack && status != NtStatus.Pending.Value;
            return progress == CameBack && !done;
        }
        done = progress is CameBack or Failed;
        foreach (var thread in client.Threads)
            foreach (var irp in Io.OutstandingIrps(thread))
                if (machine.RequestOf(irp) == request.Name && thread.State == ThreadState.Waiting) return true;
        return false;
    }

    // Looking.

    /// <summary>A checkpoint: what user mode sees, and what a kernel debugger sees, of every process but the harness's own.</summary>
    private void Look(string checkpoint)
    {
        var watched = _clients.Where(c => c.Name != Story.Controller).ToList();
        machine.Log(new ProcessStates(checkpoint, [.. watched.Select(StateOf)]), Sources.ProcessState);
        var view = new KernelView(machine.KernelMemory);
        var records = new List<ProcessRecord>();
        foreach (var client in watched)
            if (view.ProcessAt(new KernelAddress(client.Process.Address)) is { } record) records.Add(record);
        machine.Log(new KernelMemorySeen(checkpoint, records) { Notes = view.Notes.Count == 0 ? null : view.Notes }, Sources.KernelMemory);
    }

    /// <summary>NtQuerySystemInformation and WaitForSingleObject, from the same structures that Windows answers them from.</summary>
    private static ProcessState StateOf(Client client)
    {
        var process = client.Process;
        var threads = new List<ThreadStateSeen>();
        foreach (var entry in process.ThreadListHead.Entries())
        {
            var thread = new Structures.Thread(process.Memory, entry - 0x4E8);
            if (thread.State == ThreadState.Terminated) continue;
            threads.Add(new ThreadStateSeen((int)thread.UniqueThread, thread.State, thread.WaitReason, !thread.IrpList.IsEmpty));
        }
        var signalled = process.Header.SignalState != 0;
        return new ProcessState(client.Name, process.ImageFileName, client.Pid, Listed: !signalled, signalled, process.ExitStatus, Ob.HandleCount(process), threads);
    }

    private readonly record struct Place(Client Client, int Thread, Act? Act, bool Returned);

    private sealed record Request(string Name, string Handle, ulong Block, ulong Input, ulong Output);

    /// <summary>What never changes once a story has started: where a process keeps what.</summary>
    private sealed class Client(string name, int index, Structures.Process process, IReadOnlyList<ClientThread> told)
    {
        private ulong _next = AddressMap.UserData + ((ulong)index * ProcessStride);

        public string Name { get; } = name;

        public int Index { get; } = index;

        public Structures.Process Process { get; } = process;

        public int Pid { get; } = (int)process.UniqueProcessId;

        public IReadOnlyList<ClientThread> Told { get; } = told;

        public List<Structures.Thread> Threads { get; } = [];

        public Dictionary<string, ulong> Variables { get; } = [];

        public Dictionary<string, bool> Overlapped { get; } = [];

        public Dictionary<string, Request> Requests { get; } = [];

        public Dictionary<string, ulong> ProcessHandles { get; } = [];

        public List<Act> Conditions { get; } = [];

        public Dictionary<Act, DispatcherHeader> ConditionEvents { get; } = new(ReferenceEqualityComparer.Instance);

        public Dictionary<string, ulong> ThreadHandles { get; } = [];

        /// <summary>Handles of completion ports, by the file handles' names.</summary>
        public Dictionary<string, ulong> Ports { get; } = [];

        /// <summary>Where an act has its own piece of user memory. Two equal acts are two acts.</summary>
        public Dictionary<Act, ulong> Places { get; } = new(ReferenceEqualityComparer.Instance);

        /// <summary>User memory, each piece on pages of its own when it is large.</summary>
        public ulong Allocate(GuestMemory m, ulong bytes, PageAccess access = PageAccess.Read | PageAccess.Write)
        {
            var at = (_next + 0xF) & ~0xFul;
            if (bytes >= 0x1000) at = (at + 0xFFF) & ~0xFFFul;
            var end = at + bytes;
            for (var page = at & ~0xFFFul; page < end; page += 0x1000)
                if (m.AccessOf(page) == PageAccess.None) m.Map(page, 0x1000, access | PageAccess.User | PageAccess.Pageable);
            _next = end;
            return at;
        }
    }
}
