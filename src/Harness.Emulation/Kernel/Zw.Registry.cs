using System.Runtime.InteropServices;
using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// A registry in memory: the path to the services, the key of each service with what installing it leaves there, and what drivers make themselves.
/// A key is a named object whose body is the list of its values. A value: links +0, UNICODE_STRING +0x10, type +0x20, length +0x24, then its bytes.
/// </summary>
internal static partial class Zw
{
    private const int KeyType = 16;
    private const string Services = "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Services";

    /// <summary>REG_EXPAND_SZ and REG_DWORD.</summary>
    private const uint ExpandString = 2, DoubleWord = 4;

    /// <summary>Keys that every Windows has and that hold nothing here.</summary>
    private static readonly string[] s_skeleton =
    [
        "\\REGISTRY", "\\REGISTRY\\MACHINE", "\\REGISTRY\\USER", "\\REGISTRY\\MACHINE\\SYSTEM", "\\REGISTRY\\MACHINE\\SOFTWARE", "\\REGISTRY\\MACHINE\\HARDWARE",
        "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001", "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Control", Services,
    ];

    private static void DefineRegistry(NtRoutines nt)
    {
        nt.Add("NtOpenKey", p => OpenKey(p));
        nt.Add("NtOpenKeyEx", p => OpenKey(p));
        // NtCreateKey(Handle*, Access, ObjectAttributes, TitleIndex, Class, CreateOptions, Disposition*)
        nt.Add("NtCreateKey", p =>
        {
            var path = KeyPath(PathOf(p));
            var key = FindKey(p.Machine, path);
            var made = key == 0;
            if (made && FindKey(p.Machine, path[..Math.Max(0, path.LastIndexOf('\\'))]) == 0) return p.Return(NtStatus.ObjectNameNotFound);
            if (made) key = MakeKey(p.Machine, path);
            // REG_CREATED_NEW_KEY 1, REG_OPENED_EXISTING_KEY 2.
            if (p.Arg(6) != 0) p.Memory.WriteU32(p.Arg(6), made ? 1u : 2);
            return GiveHandle(p, key, NtStatus.Success);
        });
        nt.Add("NtQueryValueKey", QueryValue);
        // NtEnumerateValueKey(Handle, Index, Class, Buffer, Length, ResultLength*)
        nt.Add("NtEnumerateValueKey", p => WithKey(p, key =>
        {
            var value = Values(p.Memory, key).ElementAtOrDefault((int)p.Arg32(1));
            return value == 0 ? new NtStatus(0x8000001A) : ReportValue(p, value, p.Arg32(2), p.Arg(3), p.Arg32(4), p.Arg(5));
        }));
        nt.Add("NtEnumerateKey", p => WithKey(p, key =>
            Subkeys(p.Machine, key).Skip((int)p.Arg32(1)).Any() ? throw new UnmodelledException("nt!NtEnumerateKey", "a key that has subkeys") : new NtStatus(0x8000001A)));
        // NtSetValueKey(Handle, ValueName, TitleIndex, Type, Data, DataSize)
        nt.Add("NtSetValueKey", p => WithKey(p, key =>
        {
            SetValue(p.Machine, key, NameAt(p, 1), p.Arg32(3), DriverMemory.Read(p, p.Arg(4), p.Arg32(5)));
            return NtStatus.Success;
        }));
        nt.Add("NtDeleteValueKey", p => WithKey(p, key => DeleteValue(p.Machine, key, NameAt(p, 1)) ? NtStatus.Success : NtStatus.ObjectNameNotFound));
        nt.Add("NtDeleteKey", p => WithKey(p, key =>
        {
            if (Subkeys(p.Machine, key).Any()) return new NtStatus(0xC0000121);
            Ob.RemoveName(p.Machine, key);
            return NtStatus.Success;
        }));
        nt.Add("NtFlushKey", p => WithKey(p, _ => NtStatus.Success));
        DefineRtlRegistry(nt);
    }

    /// <summary>The path as the registry keeps it: CurrentControlSet is the first one.</summary>
    private static string KeyPath(string? path)
    {
        const string current = "\\REGISTRY\\MACHINE\\SYSTEM\\CurrentControlSet";
        path = (path ?? "").TrimEnd('\\');
        if (!path.StartsWith(current, StringComparison.OrdinalIgnoreCase)) return path;
        return path.Length == current.Length || path[current.Length] == '\\' ? "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001" + path[current.Length..] : path;
    }

    /// <summary>A key that is there; those that every machine has are made when somebody looks.</summary>
    private static ulong FindKey(Machine machine, string path)
    {
        var key = Ob.Find(machine, path);
        if (key != 0) return Ob.TypeOf(machine.Memory, key) == KeyType ? key : 0;
        if (s_skeleton.Contains(path, StringComparer.OrdinalIgnoreCase)) return MakeKey(machine, path);
        var cut = path.LastIndexOf('\\');
        if (cut <= 0 || !path[..cut].Equals(Services, StringComparison.OrdinalIgnoreCase)) return 0;
        var service = path[(cut + 1)..];
        if (Ob.Find(machine, "\\Driver\\" + service) == 0) return 0;
        key = MakeKey(machine, path);
        // SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL.
        SetValue(machine, key, "Type", DoubleWord, [1, 0, 0, 0]);
        SetValue(machine, key, "Start", DoubleWord, [3, 0, 0, 0]);
        SetValue(machine, key, "ErrorControl", DoubleWord, [1, 0, 0, 0]);
        SetValue(machine, key, "ImagePath", ExpandString, DriverMemory.Bytes($"system32\\drivers\\{service}.sys\0", wide: true));
        return key;
    }

    private static ulong MakeKey(Machine machine, string path)
    {
        var key = Ob.Create(machine, KeyType, 0x10, path);
        new ListHead(machine.Memory, key).Initialize();
        return key;
    }

    private static IEnumerable<ulong> Subkeys(Machine machine, ulong key)
    {
        var parent = Ob.NameOf(machine, key) + "\\";
        foreach (var entry in NtData.Names(machine.Memory).Entries())
            if (new UnicodeString(machine.Memory, entry + 0x18).Text is var path && path.StartsWith(parent, StringComparison.OrdinalIgnoreCase) && path.IndexOf('\\', parent.Length) < 0)
                yield return machine.Memory.ReadU64(entry + 0x10);
    }

    private static IEnumerable<ulong> Values(GuestMemory m, ulong key) => new ListHead(m, key).Entries();

    private static ulong FindValue(GuestMemory m, ulong key, string name) =>
        Values(m, key).FirstOrDefault(value => new UnicodeString(m, value + 0x10).Text.Equals(name, StringComparison.OrdinalIgnoreCase));

    private static void SetValue(Machine machine, ulong key, string name, uint type, byte[] data)
    {
        DeleteValue(machine, key, name);
        var m = machine.Memory;
        var value = Ex.Allocate(machine, Ex.Paged, 0x28ul + (ulong)data.Length, "CMvb");
        Ob.WriteString(machine, value + 0x10, name);
        m.WriteU32(value + 0x20, type);
        m.WriteU32(value + 0x24, (uint)data.Length);
        m.Write(value + 0x28, data);
        new ListHead(m, key).InsertTail(new ListHead(m, value));
    }

    private static bool DeleteValue(Machine machine, ulong key, string name)
    {
        var value = FindValue(machine.Memory, key, name);
        if (value == 0) return false;
        new ListHead(machine.Memory, value).Remove();
        Ex.Free(machine, machine.Memory.ReadU64(value + 0x18));
        Ex.Free(machine, value);
        return true;
    }

    private static byte[] DataOf(GuestMemory m, ulong value)
    {
        var data = new byte[m.ReadU32(value + 0x24)];
        m.Read(value + 0x28, data);
        return data;
    }

    private static string NameAt(Processor p, int argument) => p.Arg(argument) == 0 ? "" : DriverMemory.Counted(p, p.Arg(argument), wide: true);

    private static Next OpenKey(Processor p)
    {
        var key = FindKey(p.Machine, KeyPath(PathOf(p)));
        return key == 0 ? p.Return(NtStatus.ObjectNameNotFound) : GiveHandle(p, key, NtStatus.Success);
    }

    private static Next WithKey(Processor p, Func<ulong, NtStatus> action)
    {
        var status = Ob.FromHandle(p, p.Arg(0), KeyType, out var key, out _);
        if (status.IsError) return p.Return(status);
        status = action(key);
        Ob.DereferenceNow(p.Machine, key);
        return p.Return(status);
    }

    // NtQueryValueKey(Handle, ValueName, Class, Buffer, Length, ResultLength*)
    private static Next QueryValue(Processor p) => WithKey(p, key =>
    {
        var value = FindValue(p.Memory, key, NameAt(p, 1));
        return value == 0 ? NtStatus.ObjectNameNotFound : ReportValue(p, value, p.Arg32(2), p.Arg(3), p.Arg32(4), p.Arg(5));
    });

    /// <summary>KEY_VALUE_XXX_INFORMATION (wdm.h): Basic 0, Full 1, Partial 2.</summary>
    private static NtStatus ReportValue(Processor p, ulong value, uint kind, ulong buffer, uint length, ulong resultLength)
    {
        var m = p.Memory;
        var name = DriverMemory.Bytes(new UnicodeString(m, value + 0x10).Text, wide: true);
        var data = DataOf(m, value);
        var type = m.ReadU32(value + 0x20);
        var dataOffset = (20 + name.Length + 7) & ~7;
        var (head, rest) = kind switch
        {
            0 => (Words(0, type, (uint)name.Length), name),
            1 => (Words(0, type, (uint)dataOffset, (uint)data.Length, (uint)name.Length), [.. name, .. new byte[dataOffset - 20 - name.Length], .. data]),
            2 => (Words(0, type, (uint)data.Length), data),
            _ => throw new UnmodelledException("nt!" + p.RoutineName, $"information class {kind}"),
        };
        byte[] whole = [.. head, .. rest];
        DriverMemory.WriteU32(p, resultLength, (uint)whole.Length);
        if (length < head.Length) return NtStatus.BufferTooSmall;
        DriverMemory.Write(p, buffer, whole.AsSpan(0, (int)Math.Min(length, whole.Length)));
        return length < whole.Length ? NtStatus.BufferOverflow : NtStatus.Success;
    }

    private static byte[] Words(params ReadOnlySpan<uint> words) => MemoryMarshal.AsBytes(words).ToArray();
}
