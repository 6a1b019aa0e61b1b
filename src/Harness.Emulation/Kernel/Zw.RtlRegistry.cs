using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>
/// The registry as Rtl offers it. RTL_QUERY_REGISTRY_TABLE: QueryRoutine +0, Flags +8, Name +0x10, EntryContext +0x18, DefaultType +0x20,
/// DefaultData +0x28, DefaultLength +0x30; 0x38 bytes (wdm.h).
/// </summary>
internal static partial class Zw
{
    private const uint QuerySubkey = 1, QueryTopKey = 2, QueryRequired = 4, QueryNoValue = 8, QueryDirect = 0x20, QueryDelete = 0x40;

    /// <summary>REG_SZ and REG_MULTI_SZ.</summary>
    private const uint PlainString = 1, MultiString = 7;

    private static void DefineRtlRegistry(NtRoutines nt)
    {
        // RtlQueryRegistryValues(RelativeTo, Path, QueryTable, Context, Environment). Locals: 0 the entry, 1 the key, 2 pool of a callback's name and data.
        nt.Add("RtlQueryRegistryValues", 3, BeginQuery, QueryEntry, QueryAnswered);
        nt.Add("RtlxQueryRegistryValues", p => p.Call("RtlQueryRegistryValues", 1, p.Arg(0), p.Arg(1), p.Arg(2), p.Arg(3), p.Arg(4)), p => p.Return(p.Result));
        nt.Add("RtlCheckRegistryKey", p => p.Return(RelativeKey(p) == 0 ? NtStatus.ObjectNameNotFound : NtStatus.Success));
        nt.Add("RtlCreateRegistryKey", p =>
        {
            var path = RelativePath(p);
            if (FindKey(p.Machine, path) == 0) MakeKey(p.Machine, path);
            return p.Return(NtStatus.Success);
        });
        // RtlWriteRegistryValue(RelativeTo, Path, ValueName, ValueType, ValueData, ValueLength)
        nt.Add("RtlWriteRegistryValue", p =>
        {
            var key = RelativeKey(p);
            if (key == 0) return p.Return(NtStatus.ObjectNameNotFound);
            SetValue(p.Machine, key, DriverMemory.Text(p, p.Arg(2), wide: true), p.Arg32(3), DriverMemory.Read(p, p.Arg(4), p.Arg32(5)));
            return p.Return(NtStatus.Success);
        });
        nt.Add("RtlDeleteRegistryValue", p =>
        {
            var key = RelativeKey(p);
            return p.Return(key != 0 && DeleteValue(p.Machine, key, DriverMemory.Text(p, p.Arg(2), wide: true)) ? NtStatus.Success : NtStatus.ObjectNameNotFound);
        });
    }

    /// <summary>RTL_REGISTRY_XXX: absolute 0, services 1, control 2; with 0x40000000 the path is a handle.</summary>
    private static string RelativePath(Processor p)
    {
        var relative = p.Arg32(0);
        if ((relative & 0x40000000) != 0)
        {
            if (Ob.FromHandle(p, p.Arg(1), KeyType, out var key, out _).IsError) return "";
            Ob.DereferenceNow(p.Machine, key);
            return Ob.NameOf(p.Machine, key) ?? "";
        }
        var path = p.Arg(1) == 0 ? "" : DriverMemory.Text(p, p.Arg(1), wide: true);
        return KeyPath((relative & 0xFF) switch
        {
            0 => path,
            1 => Services + "\\" + path,
            2 => "\\REGISTRY\\MACHINE\\SYSTEM\\ControlSet001\\Control\\" + path,
            3 => "\\REGISTRY\\MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\" + path,
            4 => "\\REGISTRY\\MACHINE\\HARDWARE\\DeviceMap\\" + path,
            _ => throw new UnmodelledException("nt!" + p.RoutineName, $"a path relative to 0x{relative:x}"),
        });
    }

    private static ulong RelativeKey(Processor p) => RelativePath(p) is { Length: > 0 } path ? FindKey(p.Machine, path) : 0;

    private static Next BeginQuery(Processor p)
    {
        var key = RelativeKey(p);
        // RTL_REGISTRY_OPTIONAL.
        if (key == 0) return p.Return((p.Arg32(0) & 0x80000000) != 0 ? NtStatus.Success : NtStatus.ObjectNameNotFound);
        p[0] = p.Arg(2);
        p[1] = key;
        p[2] = 0;
        return p.Goto(1);
    }

    private static Next QueryEntry(Processor p)
    {
        var entry = p[0];
        var (routine, flags) = (DriverMemory.ReadU64(p, entry), DriverMemory.ReadU32(p, entry + 8));
        var named = DriverMemory.ReadU64(p, entry + 0x10);
        var name = named == 0 ? "" : DriverMemory.Text(p, named, wide: true);
        if (routine == 0 && (flags & (QuerySubkey | QueryDirect)) == 0) return p.Return(NtStatus.Success);
        p[0] = entry + 0x38;
        if ((flags & QueryTopKey) != 0) p[1] = RelativeKey(p);
        if ((flags & QuerySubkey) != 0)
        {
            if (routine != 0) throw new UnmodelledException("nt!RtlQueryRegistryValues", "every value of a subkey for one routine");
            var subkey = FindKey(p.Machine, Ob.NameOf(p.Machine, p[1]) + "\\" + name);
            if (subkey != 0) p[1] = subkey;
            else return p.Return(NtStatus.ObjectNameNotFound);
            return p.Goto(1);
        }
        if ((flags & QueryNoValue) != 0) return p.Call(routine, 2, 0, 0, 0, 0, p.Arg(3), DriverMemory.ReadU64(p, entry + 0x18));
        if (named == 0) throw new UnmodelledException("nt!RtlQueryRegistryValues", "every value of a key for one routine");
        uint type;
        byte[] data;
        var value = FindValue(p.Memory, p[1], name);
        if (value != 0)
        {
            (type, data) = (p.Memory.ReadU32(value + 0x20), DataOf(p.Memory, value));
            if ((flags & QueryDelete) != 0) DeleteValue(p.Machine, p[1], name);
        }
        else
        {
            if ((flags & QueryRequired) != 0) return p.Return(NtStatus.ObjectNameNotFound);
            type = DriverMemory.ReadU32(p, entry + 0x20) & 0xFFFFFF;
            if (type == 0) return p.Goto(1);
            data = DefaultData(p, type, DriverMemory.ReadU64(p, entry + 0x28), DriverMemory.ReadU32(p, entry + 0x30));
        }
        if ((flags & QueryDirect) != 0) return Store(p, type, data, DriverMemory.ReadU64(p, entry + 0x18)) is { IsError: true } error ? p.Return(error) : p.Goto(1);
        if (type is MultiString or ExpandString && (flags & 0x10) == 0) throw new UnmodelledException("nt!RtlQueryRegistryValues", "a list of strings or an expanded string for a routine");
        return CallRoutine(p, routine, name, type, data, DriverMemory.ReadU64(p, entry + 0x18));
    }

    private static byte[] DefaultData(Processor p, uint type, ulong at, uint length)
    {
        if (length == 0 && type is PlainString or ExpandString) return DriverMemory.Bytes(DriverMemory.Text(p, at, wide: true) + "\0", wide: true);
        return length == 0 && type == MultiString ? throw new UnmodelledException("nt!RtlQueryRegistryValues", "a default list of strings without a length") : DriverMemory.Read(p, at, length);
    }

    /// <summary>RTL_QUERY_REGISTRY_DIRECT: strings go to a UNICODE_STRING, allocated when it has no buffer; up to four bytes go as they are; more into a counted buffer.</summary>
    private static NtStatus Store(Processor p, uint type, byte[] data, ulong to)
    {
        if (type is PlainString or ExpandString or MultiString)
        {
            var maximum = DriverMemory.ReadU16(p, to + 2);
            var buffer = DriverMemory.ReadU64(p, to + 8);
            if (buffer == 0)
            {
                maximum = (ushort)data.Length;
                buffer = Ex.Allocate(p.Machine, Ex.Paged, (ulong)data.Length, "CMRg");
            }
            else if (maximum < data.Length)
            {
                return NtStatus.BufferTooSmall;
            }
            DriverMemory.Write(p, buffer, data);
            DriverMemory.WriteCounted(p, to, (ushort)Math.Max(0, data.Length - 2), maximum, buffer);
            return NtStatus.Success;
        }
        if (data.Length <= 4)
        {
            DriverMemory.Write(p, to, data);
            return NtStatus.Success;
        }
        // The destination begins with its size: negative, the data alone go there; positive, size and type come first.
        var room = (int)DriverMemory.ReadU32(p, to);
        if (room < 0)
        {
            if (-(long)room < data.Length) return NtStatus.BufferTooSmall;
            DriverMemory.Write(p, to, data);
            return NtStatus.Success;
        }
        if (room < data.Length + 8) return NtStatus.BufferTooSmall;
        DriverMemory.WriteU32(p, to, (uint)data.Length);
        DriverMemory.WriteU32(p, to + 4, type);
        DriverMemory.Write(p, to + 8, data);
        return NtStatus.Success;
    }

    // QueryRoutine(ValueName, ValueType, ValueData, ValueLength, Context, EntryContext)
    private static Next CallRoutine(Processor p, ulong routine, string name, uint type, byte[] data, ulong entryContext)
    {
        var text = DriverMemory.Bytes(name + "\0", wide: true);
        var nameBytes = (ulong)(text.Length + 15) & ~15ul;
        p[2] = Ex.Allocate(p.Machine, Ex.Paged, nameBytes + (ulong)data.Length, "CMRg");
        p.Memory.Write(p[2], text);
        p.Memory.Write(p[2] + nameBytes, data);
        return p.Call(routine, 2, p[2], type, p[2] + nameBytes, (ulong)data.Length, p.Arg(3), entryContext);
    }

    private static Next QueryAnswered(Processor p)
    {
        if (p[2] != 0) Ex.Free(p.Machine, p[2]);
        p[2] = 0;
        return p.ResultStatus.IsError ? p.Return(p.Result) : p.Goto(1);
    }
}
