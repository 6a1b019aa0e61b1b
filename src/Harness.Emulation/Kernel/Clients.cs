using Harness.Core.Stories;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// The user part of the story's processes. A client thread's program is its script: the instruction pointer in user mode says which act
/// comes next, so where a client is lies in registers, trap frames and user memory, and nowhere else.
/// </summary>
/// <remarks>Each act has two places: at the first it makes its system call, at the second it has come back.</remarks>
internal sealed partial class Clients(Machine machine)
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
