using System.Text;
using Harness.Core.Stories;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;
using Harness.Emulation.Traces;

namespace Harness.Emulation.Kernel;

/// <summary>What a client has in user memory and in its handle table before its first call.</summary>
internal sealed partial class Clients
{
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
}
