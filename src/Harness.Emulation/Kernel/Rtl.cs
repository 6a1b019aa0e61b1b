namespace Harness.Emulation.Kernel;

/// <summary>The run-time library: strings, memory, bitmaps, numbers.</summary>
internal static partial class Rtl
{
    public static void Define(NtRoutines nt)
    {
        DefineExceptions(nt);
        DefineUnwinding(nt);
        nt.Add("RtlInitUnicodeString", p =>
        {
            var n = 0u;
            if (p.Arg(1) != 0) while (p.Memory.ReadU16(p.Arg(1) + n) != 0) n += 2;
            p.Memory.WriteU16(p.Arg(0), (ushort)n);
            p.Memory.WriteU16(p.Arg(0) + 2, (ushort)(n == 0 ? 0 : n + 2));
            p.Memory.WriteU64(p.Arg(0) + 8, p.Arg(1));
            return p.Return();
        });
        nt.Add("NtDelayExecution", p => p.Call("KeDelayExecutionThread", 1, (ulong)p.CurrentThread.PreviousMode, p.Arg8(0), p.Arg(1)), p => p.Return(p.Result));
        nt.Add("NtWaitForSingleObject", 1, p => { var s = Ob.FromHandle(p, p.Arg(0), 0, out var b, out _); if (s.IsError) return p.Return(s); p[0] = b; return p.Call("KeWaitForSingleObject", 1, b, 6, (ulong)p.CurrentThread.PreviousMode, p.Arg8(1), p.Arg(2)); }, p => { Ob.DereferenceNow(p.Machine, p[0]); return p.Return(p.Result); });
    }
}
