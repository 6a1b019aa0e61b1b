using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>Objects by name, and names of objects.</summary>
internal static partial class Ob
{
    private static void DefineNames(NtRoutines nt)
    {
        // ObReferenceObjectByName(ObjectName, Attributes, AccessState, DesiredAccess, ObjectType, AccessMode, ParseContext, Object*)
        nt.Add("ObReferenceObjectByName", p =>
        {
            var body = Resolve(p.Machine, new UnicodeString(p.Memory, p.Arg(0)).Text, out var rest);
            if (body == 0 || rest.Length != 0) return p.Return(NtStatus.ObjectNameNotFound);
            if (p.Arg(4) != 0 && p.Memory.ReadU8(p.Arg(4) + 0x28) != TypeOf(p.Memory, body)) return p.Return(NtStatus.ObjectTypeMismatch);
            Reference(p.Memory, body);
            p.Memory.WriteU64(p.Arg(7), body);
            return p.Return(NtStatus.Success);
        });
        // ObQueryNameString(Object, OBJECT_NAME_INFORMATION*, Length, ReturnLength*)
        nt.Add("ObQueryNameString", p =>
        {
            var name = NameOf(p.Machine, p.Arg(0)) ?? "";
            var needed = name.Length == 0 ? 0x10u : 0x12u + (2u * (uint)name.Length);
            p.Memory.WriteU32(p.Arg(3), needed);
            if (p.Arg32(2) < needed) return p.Return(NtStatus.InfoLengthMismatch);
            if (name.Length == 0)
            {
                DriverMemory.WriteCounted(p, p.Arg(1), 0, 0, 0);
                return p.Return(NtStatus.Success);
            }
            DriverMemory.WriteCounted(p, p.Arg(1), (ushort)(2 * name.Length), (ushort)((2 * name.Length) + 2), p.Arg(1) + 0x10);
            DriverMemory.Write(p, p.Arg(1) + 0x10, DriverMemory.Bytes(name + "\0", wide: true));
            return p.Return(NtStatus.Success);
        });
        nt.Add("ObReferenceObjectByHandleWithTag", p => p.Call("ObReferenceObjectByHandle", 1, p.Arg(0), p.Arg(1), p.Arg(2), p.Arg(3), p.Arg(5), p.Arg(6)), p => p.Return(p.Result));
        nt.Add("ObReferenceObjectByPointerWithTag", p => p.Call("ObReferenceObjectByPointer", 1, p.Arg(0), p.Arg(1), p.Arg(2), p.Arg(3)), p => p.Return(p.Result));
        nt.Add("ObGetObjectType", p => p.Return(NtData.TypeObject(TypeOf(p.Memory, p.Arg(0)))));
        nt.Add("ObMakeTemporaryObject", p =>
        {
            RemoveName(p.Machine, p.Arg(0));
            return p.Return();
        });
    }
}
