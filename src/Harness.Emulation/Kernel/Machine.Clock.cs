using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Cpu;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>Time: it passes when nobody can act, and while code works.</summary>
internal sealed partial class Machine
{
    /// <summary>Work takes time: with every slice of it the clock moves, a timer may be due, and so may another thread of the same priority.</summary>
    private void Spend(Processor p, uint work)
    {
        var thread = p.CurrentThread;
        var was = thread.CurrentRunTime;
        var now = thread.CurrentRunTime = was + work;
        if (now / Slice == was / Slice) return;
        AdvanceTo(NtData.InterruptTime(Memory) + SliceTime);
        if (now >= thread.QuantumTarget) p.Request(Ke.DispatchLevel);
        if (now > MostWork) Fault(p, "endless-loop", CallerOf(p), $"The driver executed {MostWork:N0} instructions without waiting; it goes round {LoopOf(p)}.");
    }

    /// <summary>Moves the clock forward and lets every timer that is due by then expire.</summary>
    public void AdvanceTo(ulong interruptTime)
    {
        NtData.SetInterruptTime(Memory, interruptTime);
        NtData.SetTimesRead(Memory, 0);
        // KUSER_SHARED_DATA: InterruptTime +8, SystemTime +0x14, TickCount +0x320; KSYSTEM_TIME repeats its high part.
        WriteSystemTime(AddressMap.SharedUserData + 0x08, interruptTime);
        WriteSystemTime(AddressMap.SharedUserData + 0x14, BootTime + interruptTime);
        WriteSystemTime(AddressMap.SharedUserData + 0x320, interruptTime / TickLength);
        Memory.WriteU64(NtImage.Instance["KeTickCount"], interruptTime / TickLength);
        if (!NtData.Timers(Memory).IsEmpty) Ke.ExpireTimers(this);
    }

    /// <summary>
    /// The time as a routine of nt tells it. The clock stands still while code runs; but code that asks again and again waits for a moment
    /// to come, and from the sixteenth time on each question takes a microsecond.
    /// </summary>
    public ulong ReadTime()
    {
        var reads = NtData.TimesRead(Memory) + 1;
        var now = NtData.InterruptTime(Memory);
        NtData.SetTimesRead(Memory, reads);
        if (reads < 16) return now;
        AdvanceTo(now + 10);
        NtData.SetTimesRead(Memory, reads);
        return now + 10;
    }

    private void WriteSystemTime(ulong at, ulong value)
    {
        Memory.WriteU64(at, value);
        Memory.WriteU32(at + 8, (uint)(value >> 32));
    }
}
