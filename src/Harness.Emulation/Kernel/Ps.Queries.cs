using Harness.Core.Nt;

namespace Harness.Emulation.Kernel;

/// <summary>What drivers ask about processes and threads.</summary>
internal static partial class Ps
{
    private static void DefineQueries(NtRoutines nt)
    {
        nt.Add("PsLookupThreadByThreadId", p =>
        {
            foreach (var thread in Threads(p.Memory).Where(t => t.UniqueThread == p.Arg(0)))
            {
                Ob.Reference(p.Memory, thread.Address);
                p.Memory.WriteU64(p.Arg(1), thread.Address);
                return p.Return(NtStatus.Success);
            }
            return p.Return(NtStatus.InvalidCid);
        });
        // One session: the services'.
        nt.Add("PsGetCurrentProcessSessionId", p => p.Return());
        nt.Add("PsGetProcessSessionId", p => p.Return());
        nt.Add("PsGetProcessSessionIdEx", p => p.Return());
        nt.Add("PsGetProcessCreateTimeQuadPart", p => p.Return(new Structures.Process(p.Memory, p.Arg(0)).CreateTime));
        nt.Add("PsGetCurrentThreadProcess", p => p.Return(p.CurrentThread.Process.Address));
        nt.Add("PsGetCurrentThreadProcessId", p => p.Return(p.CurrentThread.UniqueProcess));
        nt.Add("PsGetCurrentThreadStackBase", p => p.Return(p.CurrentThread.StackBase));
        nt.Add("PsGetCurrentThreadStackLimit", p => p.Return(p.CurrentThread.StackLimit));
        nt.Add("PsGetCurrentThreadPreviousMode", p => p.Return((ulong)p.CurrentThread.PreviousMode));
        nt.Add("PsIsCurrentThreadPrefetching", p => p.Return(false));
        nt.Add("PsIsProtectedProcess", p => p.Return(false));
        nt.Add("PsGetProcessWow64Process", p => p.Return());
        nt.Add("PsGetProcessExitProcessCalled", p => p.Return((new Structures.Process(p.Memory, p.Arg(0)).Flags & Structures.Process.FlagExiting) != 0));
    }
}
