using System.Buffers.Binary;
using System.Text;
using Core.Tests.Diagnosis;
using Harness.Core.Nt;

namespace Core.Tests.Dumps;

/// <summary>A machine with the System process, one that lives, and one that was killed while a driver held its request.</summary>
internal sealed class DumpScene
{
    public const int Victim = 412;

    /// <summary>15.625 ms in 2^-24 ms, as Windows has it; ten minutes of such ticks after the wait began.</summary>
    private const uint TickCountMultiplier = 0x0FA0_0000, WaitBegan = 1000, Now = WaitBegan + (600 * 64);

    /// <param name="build">Whose layouts.</param>
    /// <param name="exportsAll">False: nt's own routines have no names.</param>
    /// <param name="layout">Of a build that the table does not have.</param>
    public DumpScene(int build = 19041, bool exportsAll = true, NtLayout? layout = null)
    {
        Kernel = new FakeKernel(build, exportsAll, layout);
        Kernel.AddThread(Kernel.AddProcess(4, "System"), 8);
        Kernel.AddThread(Kernel.AddProcess(100, "alive.exe"), 104);
        Process = Kernel.AddProcess(Victim, "victim.exe");
        Kernel.Terminate(Process);
        var device = Kernel.AddDevice("Sample");
        File = Kernel.AddFile(device);
        Thread = Kernel.AddThread(Process, Victim + 4);
        Irp = Kernel.AddIrp(Thread, device, File);
        Kernel.Memory.Byte(Irp + Kernel.Layout.Irp.Cancel, 1);
        Kernel.OnThreadList(Thread, Irp);
        Kernel.Wait(Thread, WaitReason.Executive, File + Kernel.Layout.FileObject.Event, FakeKernel.Abort);
        Kernel.Memory.UInt32(Thread + Kernel.Layout.KThread.WaitTime, WaitBegan);

        Kernel.Memory.UInt32(SharedUserData.At + SharedUserData.TickCountMultiplier, TickCountMultiplier);
        Kernel.Memory.UInt32(SharedUserData.At + SharedUserData.TickCount, Now);
        Kernel.Memory.UInt32(SharedUserData.At + SharedUserData.NtBuildNumber, 0xF000_0000 | (uint)build);
        Kernel.Memory.UInt32(SharedUserData.At + SharedUserData.NtMajorVersion, 10);
        ProcessIdTable = Kernel.Allocate(8);
        Kernel.Memory.Pointer(ProcessIdTable, Kernel.AddHandleTable(0, (Victim, Process), (Victim + 4, Thread)));
        DebuggerData = AddDebuggerData();
    }

    /// <summary>The victim's thread ends, and with it the process; another has a handle to it, in a table of so many levels.</summary>
    public void EndFor(string holder, int levels, bool toThread = false)
    {
        var layout = Kernel.Layout;
        Kernel.Memory.Byte(Thread + layout.KThread.State, (int)ThreadState.Terminated);
        Kernel.Memory.UInt32(Process + layout.DispatcherHeader.SignalState, 1);
        var target = (toThread ? Thread : Process) - layout.ObjectHeader.Body;
        Kernel.Memory.Pointer(Kernel.AddProcess(Holder, holder) + layout.EProcess.ObjectTable,
            Kernel.AddHandleTable(levels, (0x4, File - layout.ObjectHeader.Body), (Handle, target), (levels == 0 ? Handle + 4 : 0x1004, File)));
    }

    /// <summary>The holder's process ID, and its handle.</summary>
    public const int Holder = 1200;
    public const ulong Handle = 0x84;

    public FakeKernel Kernel { get; }

    public KernelAddress Process { get; }

    public KernelAddress Thread { get; }

    public KernelAddress File { get; }

    public KernelAddress Irp { get; }

    /// <summary>PspCidTable.</summary>
    public KernelAddress ProcessIdTable { get; }

    /// <summary>KDDEBUGGER_DATA64.</summary>
    public KernelAddress DebuggerData { get; }

    public FakeDump Dump(int levels = 4, bool largeKernel = false, int transition = 0) => new(Kernel, levels, largeKernel, transition) { DebuggerData = DebuggerData };

    /// <summary>The wait began so many ticks before now.</summary>
    public void WaitedFor(uint ticks) => Kernel.Memory.UInt32(Thread + Kernel.Layout.KThread.WaitTime, Now - ticks);

    /// <summary>KDBG as memory that Windows did not write holds it: the kernel image gets the PDB's identity and the constants where its symbols have them.</summary>
    public void EncodeDebuggerData(PdbIdentity pdb, Func<string, uint?> symbols, ulong never, ulong always)
    {
        var memory = Kernel.Memory;
        Kernel.LinkedWith(FakeKernel.KernelBase, pdb);
        memory.UInt64(FakeKernel.KernelBase + symbols("KiWaitNever")!.Value, never);
        memory.UInt64(FakeKernel.KernelBase + symbols("KiWaitAlways")!.Value, always);
        for (var at = DebuggerData; at != DebuggerData + 0x380; at += 8)
        {
            var word = BinaryPrimitives.ReverseEndianness(memory.UInt64(at) ^ always) ^ (FakeKernel.KernelBase.Value + symbols("KdpDataBlockEncoded")!.Value);
            memory.UInt64(at, ulong.RotateRight(word, (byte)never) ^ never);
        }
    }

    private KernelAddress AddDebuggerData()
    {
        var layout = Kernel.Layout;
        var at = Kernel.Allocate(0x380);
        Kernel.Memory.Write(at + 0x10, Encoding.ASCII.GetBytes("KDBG"));
        Kernel.Memory.UInt32(at + 0x14, 0x380);
        Kernel.Memory.Pointer(at + 0x18, FakeKernel.KernelBase);
        Kernel.Memory.Pointer(at + 0x48, Kernel.Memory.LoadedModuleList);
        Kernel.Memory.Pointer(at + 0x50, Kernel.Memory.ActiveProcessHead);
        Kernel.Memory.Pointer(at + 0x58, ProcessIdTable);
        uint[] offsets =
        [
            0, layout.KThread.Teb, layout.KThread.KernelStack, layout.KThread.InitialStack, layout.KThread.ApcState + layout.ApcState.Process, layout.KThread.State, 0, 0,
            layout.EProcess.SizeInBytes, layout.EProcess.Peb, layout.EProcess.InheritedFromUniqueProcessId, layout.KProcess.DirectoryTableBase,
        ];
        foreach (var (i, offset) in offsets.Index()) Kernel.Memory.UInt16(at + 0x298 + ((uint)i * 2), (int)offset);
        return at;
    }
}
