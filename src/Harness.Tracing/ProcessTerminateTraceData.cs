using System.Text;
using Harness.Core.Nt;
using Microsoft.Diagnostics.Tracing;
using Microsoft.Diagnostics.Tracing.Parsers;

namespace Harness.Tracing;

/// <summary>
/// Process/Terminate: somebody asks for a process's end. It is logged before the process begins to end; the event's own process and thread are
/// those that ask.
/// </summary>
public sealed class ProcessTerminateTraceData : TraceEvent
{
    private static readonly string[] Names = [nameof(VictimProcessID)];

    private Action<ProcessTerminateTraceData>? _action;

    internal ProcessTerminateTraceData(Action<ProcessTerminateTraceData>? action)
        : base(0xFFFF, 1, "Process", KernelTraceGroups.Process, KernelTraceEvents.Type(KernelTraceEvents.ProcessTerminate), "Terminate", KernelTraceEventParser.ProviderGuid, KernelTraceEventParser.ProviderName) =>
        _action = action;

    /// <summary>Whose end is asked for; -1 when the event is too short to tell.</summary>
    public int VictimProcessID => EventDataLength >= 4 ? GetInt32At(0) : -1;

    public override string[] PayloadNames => payloadNames ??= Names;

    public override object? PayloadValue(int index) => index == 0 ? VictimProcessID : null;

    public override StringBuilder ToXml(StringBuilder sb)
    {
        Prefix(sb);
        XmlAttrib(sb, nameof(VictimProcessID), VictimProcessID);
        return sb.Append("/>");
    }

    protected override Delegate? Target
    {
        get => _action;
        set => _action = (Action<ProcessTerminateTraceData>?)value;
    }

    protected override void Dispatch() => _action?.Invoke(this);
}

/// <summary>The events of the kernel's logger for which TraceEvent has no template.</summary>
public sealed class ProcessTerminateTraceEventParser(TraceEventSource source) : TraceEventParser(source)
{
    public event Action<ProcessTerminateTraceData> ProcessTerminate
    {
        add => source.RegisterEventTemplate(new ProcessTerminateTraceData(value));
        remove => source.UnregisterEventTemplate(value, KernelTraceEvents.Type(KernelTraceEvents.ProcessTerminate), KernelTraceGroups.Process);
    }

    protected override string GetProviderName() => KernelTraceEventParser.ProviderName;

    protected override void EnumerateTemplates(Func<string, string, EventFilterResponse>? eventsToObserve, Action<TraceEvent> callback)
    {
        if (eventsToObserve is null || eventsToObserve(GetProviderName(), "Process/Terminate") == EventFilterResponse.AcceptEvent) callback(new ProcessTerminateTraceData(null));
    }
}
