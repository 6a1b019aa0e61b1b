using System.Text;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>The object manager: headers, names, references. Handles are in Ob.Handles.cs.</summary>
internal static partial class Ob
{
    public const int ProcessType = 2, ThreadType = 3, EventType = 4, MutantType = 5, SemaphoreType = 6, TimerType = 7, DeviceType = 8, DriverType = 9, FileType = 10, LinkType = 11, CallbackType = 12, CompletionType = 13, DirectoryType = 14;

    private const int HeaderSize = 0x30, NameInfoSize = 0x20;
    private const byte HasNameInfo = 2;

    public static void Define(NtRoutines nt)
    {
        DefineHandles(nt);
        DefineNames(nt);
        // Local 0: the object.
        nt.Add("ObfReferenceObject", p => p.Return((ulong)Reference(p.Memory, p.Arg(0))));
        nt.Add("ObReferenceObject", p => p.Return((ulong)Reference(p.Memory, p.Arg(0))));
        nt.Add("ObfReferenceObjectWithTag", p => p.Return((ulong)Reference(p.Memory, p.Arg(0))));
        nt.Add("ObfDereferenceObject", Dereference, p => p.Goto(2), FreeObject);
        nt.Add("ObDereferenceObject", p => p.Call("ObfDereferenceObject", 1, p.Arg(0)), p => p.Return(p.Result));
        nt.Add("ObfDereferenceObjectWithTag", p => p.Call("ObfDereferenceObject", 1, p.Arg(0)), p => p.Return(p.Result));
        nt.Add("ObDereferenceObjectDeferDelete", p => p.Call("ObfDereferenceObject", 1, p.Arg(0)), p => p.Return(p.Result));
        nt.Add("ObpRemoveObjectRoutine", p => p.Call("IopDeleteFile", 1, p.Arg(0)), FreeObject);
        nt.Add("ObReferenceObjectByPointer", ReferenceByPointer);
    }

    /// <summary>The types' objects: OBJECT_TYPE.Name at +0x10, Index at +0x28 (public symbols).</summary>
    public static void CreateTypes(Machine machine)
    {
        var m = machine.Memory;
        for (var i = 0; i < NtData.ObjectTypes.Length; i++)
        {
            var type = NtData.TypeObject(i + 2);
            var text = Encoding.Unicode.GetBytes(NtData.ObjectTypes[i]);
            m.Write(type + 0xE0, text);
            m.WriteU16(type + 0x10, (ushort)text.Length);
            m.WriteU16(type + 0x12, (ushort)text.Length);
            m.WriteU64(type + 0x18, type + 0xE0);
            m.WriteU8(type + 0x28, (byte)(i + 2));
        }
        foreach (var directory in (string[])["\\Device", "\\Driver", "\\??", "\\Callback", "\\BaseNamedObjects"]) Create(machine, DirectoryType, 0x158, directory);
    }

    /// <summary>Makes an object with one reference; its body is zero.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="type">Index of its type.</param>
    /// <param name="size">Bytes of the body.</param>
    /// <param name="name">Full path in the object namespace, or null.</param>
    public static ulong Create(Machine machine, int type, int size, string? name = null)
    {
        var m = machine.Memory;
        var infoSize = name is null ? 0 : NameInfoSize;
        var block = Ex.Allocate(machine, Ex.NonPaged, (ulong)(infoSize + HeaderSize + size), TagOf(type));
        m.Fill(block, (ulong)(infoSize + HeaderSize + size), 0);
        var header = new ObjectHeader(m, block + (ulong)infoSize)
        {
            PointerCount = 1,
            TypeIndex = (byte)type,
            InfoMask = name is null ? (byte)0 : HasNameInfo,
        };
        if (name is not null) SetName(machine, header, name);
        return header.Body;
    }

    private static string TagOf(int type) => type switch
    {
        ProcessType => "Proc",
        ThreadType => "Thre",
        EventType => "Even",
        DeviceType => "Devi",
        DriverType => "Driv",
        FileType => "File",
        LinkType => "Symb",
        _ => "ObTy",
    };

    /// <summary>OBJECT_HEADER_NAME_INFO: Directory +0, Name +8; and the entry by which the name is found.</summary>
    private static void SetName(Machine machine, ObjectHeader header, string path)
    {
        var m = machine.Memory;
        var cut = path.LastIndexOf('\\');
        var (parent, leaf) = (path[..cut], path[(cut + 1)..]);
        var info = header.Address - NameInfoSize;
        m.WriteU64(info, parent.Length == 0 ? 0 : Find(machine, parent));
        WriteString(machine, info + 8, leaf);
        // A name entry: LIST_ENTRY, object, full path.
        var entry = Ex.Allocate(machine, Ex.NonPaged, 0x28, "ObNm");
        m.WriteU64(entry + 0x10, header.Body);
        WriteString(machine, entry + 0x18, path);
        NtData.Names(m).InsertTail(new ListHead(m, entry));
    }

    /// <summary>A UNICODE_STRING with its text in pool, at this address.</summary>
    public static void WriteString(Machine machine, ulong at, string text)
    {
        var m = machine.Memory;
        var bytes = Encoding.Unicode.GetBytes(text);
        var buffer = Ex.Allocate(machine, Ex.NonPaged, (ulong)bytes.Length + 2, "ObNm");
        m.Write(buffer, bytes);
        m.WriteU16(buffer + (ulong)bytes.Length, 0);
        m.WriteU16(at, (ushort)bytes.Length);
        m.WriteU16(at + 2, (ushort)(bytes.Length + 2));
        m.WriteU64(at + 8, buffer);
    }

    /// <summary>The object of a full path, without following links; 0: none.</summary>
    public static ulong Find(Machine machine, string path)
    {
        foreach (var entry in NtData.Names(machine.Memory).Entries())
            if (string.Equals(new UnicodeString(machine.Memory, entry + 0x18).Text, path, StringComparison.OrdinalIgnoreCase)) return machine.Memory.ReadU64(entry + 0x10);
        return 0;
    }

    /// <summary>Follows symbolic links; 0 when a part is missing or the chain is too long. <paramref name="rest"/>: what follows a device's name.</summary>
    public static ulong Resolve(Machine machine, string path, out string rest)
    {
        rest = "";
        for (var hops = 0; hops < 16; hops++)
        {
            path = Canonical(path);
            var found = Find(machine, path);
            if (found == 0)
            {
                // "\Device\X\file": the device parses the rest.
                for (var cut = path.LastIndexOf('\\'); cut > 0 && found == 0; cut = path.LastIndexOf('\\', cut - 1))
                {
                    found = Find(machine, path[..cut]);
                    if (found != 0 && TypeOf(machine.Memory, found) == DirectoryType) return 0;
                    if (found != 0) (path, rest) = (path[..cut], path[cut..] + rest);
                }
                if (found == 0) return 0;
            }
            if (TypeOf(machine.Memory, found) != LinkType) return found;
            path = new UnicodeString(machine.Memory, found).Text;
        }
        return 0;
    }

    /// <summary>An absolute path with a last component.</summary>
    public static bool IsPath(string path) => path.StartsWith('\\') && !path.EndsWith('\\');

    private static string Canonical(string path)
    {
        foreach (var alias in (string[])["\\DosDevices\\Global\\", "\\DosDevices\\", "\\GLOBAL??\\", "\\??\\Global\\"])
            if (path.StartsWith(alias, StringComparison.OrdinalIgnoreCase)) return "\\??\\" + path[alias.Length..];
        return path;
    }

    /// <summary>Makes a symbolic link.</summary>
    public static NtStatus CreateLink(Machine machine, string name, string target)
    {
        name = Canonical(name);
        if (!IsPath(name)) return NtStatus.ObjectPathSyntaxBad;
        if (Find(machine, name) != 0) return NtStatus.ObjectNameCollision;
        var link = Create(machine, LinkType, 0x28, name);
        WriteString(machine, link, target);
        return NtStatus.Success;
    }

    public static NtStatus DeleteLink(Machine machine, string name)
    {
        var link = Find(machine, Canonical(name));
        if (link == 0 || TypeOf(machine.Memory, link) != LinkType) return NtStatus.ObjectNameNotFound;
        RemoveName(machine, link);
        return NtStatus.Success;
    }

    /// <summary>Symbolic links that lead nowhere.</summary>
    public static IEnumerable<string> DanglingLinks(Machine machine)
    {
        var m = machine.Memory;
        foreach (var entry in NtData.Names(m).Entries())
        {
            var body = m.ReadU64(entry + 0x10);
            if (TypeOf(m, body) == LinkType && Find(machine, Canonical(new UnicodeString(m, body).Text)) == 0) yield return NameOf(machine, body) ?? "(unnamed)";
        }
    }

    /// <summary>
    /// Events, semaphores and ended processes that have no handle any more and are still there: somebody keeps a reference. Of other types
    /// nt itself may keep one.
    /// </summary>
    public static IEnumerable<ulong> KeptByReference(GuestMemory m)
    {
        var types = ((int[])[EventType, SemaphoreType, ProcessType]).ToDictionary(type => Ex.TagOf(TagOf(type)));
        foreach (var record in Ex.Records(m))
        {
            if (record.IsFreed || !types.ContainsKey(record.Tag)) continue;
            var named = new ObjectHeader(m, record.Block + NameInfoSize);
            var header = record.Length > NameInfoSize + HeaderSize && (named.InfoMask & HasNameInfo) != 0 && types.ContainsValue(named.TypeIndex) ? named : new ObjectHeader(m, record.Block);
            if (!types.ContainsValue(header.TypeIndex) || header.HandleCount != 0 || header.PointerCount <= 0) continue;
            if (header.TypeIndex == ProcessType && new DispatcherHeader(m, header.Body).SignalState == 0) continue;
            yield return header.Body;
        }
    }

    /// <summary>"Event object 0xffff8a000000cab0", "Key object \Registry\Machine", "Process object of pid 408".</summary>
    public static string Described(Machine machine, ulong body)
    {
        var type = TypeOf(machine.Memory, body);
        var which = type == ProcessType ? $"of pid {new Structures.Process(machine.Memory, body).UniqueProcessId}" : NameOf(machine, body) ?? new KernelAddress(body).ToString();
        return $"{NtData.ObjectTypes[type - 2]} object {which}";
    }

    /// <summary>Takes an object's name out of the namespace; the object stays.</summary>
    public static void RemoveName(Machine machine, ulong body)
    {
        foreach (var entry in NtData.Names(machine.Memory).Entries())
            if (machine.Memory.ReadU64(entry + 0x10) == body) new ListHead(machine.Memory, entry).Remove();
    }

    /// <summary>The full path of a named object; null when it has none.</summary>
    public static string? NameOf(Machine machine, ulong body)
    {
        foreach (var entry in NtData.Names(machine.Memory).Entries())
            if (machine.Memory.ReadU64(entry + 0x10) == body) return new UnicodeString(machine.Memory, entry + 0x18).Text;
        return null;
    }

    public static int TypeOf(GuestMemory m, ulong body) => ObjectHeader.Of(m, body).TypeIndex;

    public static long Reference(GuestMemory m, ulong body)
    {
        var header = ObjectHeader.Of(m, body);
        return ++header.PointerCount;
    }

    /// <summary>Lets a reference go that cannot be the last one of a file object, or is of a type without procedures in a driver.</summary>
    public static void DereferenceNow(Machine machine, ulong body)
    {
        var header = ObjectHeader.Of(machine.Memory, body);
        header.PointerCount--;
        if (header.PointerCount > 0) return;
        if (header.TypeIndex == FileType) throw new InvalidOperationException("the last reference to a file object sends IRP_MJ_CLOSE and can't be let go in one step");
        Delete(machine, header);
    }

    private static Next Dereference(Processor p)
    {
        var header = ObjectHeader.Of(p.Memory, p.Arg(0));
        header.PointerCount--;
        if (header.PointerCount < 0) throw new BugCheckException(0x18, 0, header.Body, 0, (ulong)header.PointerCount);
        if (header.PointerCount > 0) return p.Return((ulong)header.PointerCount);
        if (header.TypeIndex != FileType)
        {
            Delete(p.Machine, header);
            return p.Return();
        }
        // IRP_MJ_CLOSE is sent at PASSIVE_LEVEL; from an APC the object manager leaves it to a worker thread.
        if (p.Irql != Ke.PassiveLevel)
        {
            Ex.QueueWork(p.Machine, NtImage.Instance["ObpRemoveObjectRoutine"], header.Body);
            return p.Return();
        }
        return p.Call("IopDeleteFile", 2, header.Body);
    }

    private static Next FreeObject(Processor p)
    {
        Delete(p.Machine, ObjectHeader.Of(p.Memory, p.Arg(0)));
        return p.Return();
    }

    private static void Delete(Machine machine, ObjectHeader header)
    {
        if (header.TypeIndex == ProcessType) Ps.DeleteProcess(new Structures.Process(machine.Memory, header.Body));
        if (header.TypeIndex == ThreadType) Ps.DeleteThread(machine, new Structures.Thread(machine.Memory, header.Body));
        if (header.TypeIndex == FileType) Io.LeavePort(machine, new FileObject(machine.Memory, header.Body));
        if (header.TypeIndex == CompletionType) Io.DeletePort(machine, header.Body);
        RemoveName(machine, header.Body);
        Ex.Free(machine, (header.InfoMask & HasNameInfo) != 0 ? header.Address - NameInfoSize : header.Address);
    }

    private static Next ReferenceByPointer(Processor p)
    {
        // ObReferenceObjectByPointer(Object, DesiredAccess, ObjectType, AccessMode)
        var type = p.Arg(2);
        if (type != 0 && type != NtData.TypeObject(TypeOf(p.Memory, p.Arg(0)))) return p.Return(NtStatus.ObjectTypeMismatch);
        Reference(p.Memory, p.Arg(0));
        return p.Return(NtStatus.Success);
    }
}
