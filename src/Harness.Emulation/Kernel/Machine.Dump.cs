using Harness.Core.Targets;
using Harness.Emulation.Dumps;

namespace Harness.Emulation.Kernel;

/// <summary>The whole machine as a kernel dump.</summary>
internal sealed partial class Machine
{
    /// <summary>LIVE_SYSTEM_DUMP (bugcodes.h): nothing was wrong with the machine itself.</summary>
    private const uint LiveSystemDump = 0x161;

    /// <summary>Called once: when the story is told, or where the machine stops before.</summary>
    public Action? Stopping { get; set; }

    /// <summary>Has the memory kept as it is now. Nothing of the machine is changed by it.</summary>
    /// <param name="kind">How the dump says which pages it has.</param>
    /// <param name="keep">Called with the dump's pieces, which are gone when it returns.</param>
    public void Dump(DumpKind kind, Action<IEnumerable<ReadOnlyMemory<byte>>> keep)
    {
        var before = Memory.Save();
        try
        {
            Kd.Describe(this);
            Kd.SaveProcessors(this);
            var memory = new PhysicalMemory(Memory, NtData.Directories(Memory));
            Memory.Write(NtData.PhysicalMemoryDescriptor, DumpFile.Descriptor(memory));
            keep(DumpFile.Of(kind, Header(), memory));
        }
        finally
        {
            Memory.Restore(before);
            Memory.Forget(before);
        }
    }

    private DumpHeader Header()
    {
        var stop = NtData.BugCheck(Memory);
        var context = new byte[Structures.ContextRecord.Size];
        Memory.Read(Kd.ContextOf(_acting ?? ClockProcessor).Address, context);
        var now = NtData.InterruptTime(Memory);
        return new DumpHeader
        {
            Build = Build,
            Processors = Processors.Count,
            DirectoryTableBase = NtData.SystemDirectory,
            PsLoadedModuleList = NtImage.Instance["PsLoadedModuleList"],
            PsActiveProcessHead = NtImage.Instance["PsActiveProcessHead"],
            KdDebuggerDataBlock = NtImage.Instance["KdDebuggerDataBlock"],
            BugCheckCode = stop[0] == 0 ? LiveSystemDump : (uint)stop[0],
            BugCheckParameters = stop[1..],
            Context = context,
            SystemTime = BootTime + now,
            SystemUpTime = now,
        };
    }

    /// <summary>What there is to see is to be seen now.</summary>
    public void BeforeStop()
    {
        var stopping = Stopping;
        Stopping = null;
        stopping?.Invoke();
    }
}
