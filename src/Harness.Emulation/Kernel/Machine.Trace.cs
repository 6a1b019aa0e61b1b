namespace Harness.Emulation.Kernel;

/// <summary>A session of the kernel's logger.</summary>
internal sealed partial class Machine
{
    /// <summary>The session that is on; null: none, and nothing is logged anywhere.</summary>
    public KernelTrace? Trace { get; private set; }

    /// <summary>The processor that acts; when none does, the one that takes the clock interrupt.</summary>
    public Processor ActingProcessor => _acting ?? ClockProcessor;

    /// <summary>Begins a session, before the driver is loaded.</summary>
    public void StartTrace() => Trace = new KernelTrace(this);

    /// <summary>Ends it. The file's pieces, each valid until the next is asked for.</summary>
    public IEnumerable<ReadOnlyMemory<byte>> StopTrace()
    {
        var trace = Trace ?? throw new InvalidOperationException("no session is on");
        Trace = null;
        return trace.Stop();
    }
}
