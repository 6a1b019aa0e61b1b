using System.Text;
using Harness.Core.Nt;
using Microsoft.Diagnostics.Tracing;

namespace Harness.Tracing;

/// <summary>Names of an image's routines that the trace itself carries (<see cref="ImageNamesLayout"/>).</summary>
public sealed class ImageNamesTraceData : TraceEvent
{
    internal const string Provider = "DriverFaultHarness";

    private static readonly string[] Fields = [nameof(ImageBase)];

    private Action<ImageNamesTraceData>? _action;

    internal ImageNamesTraceData(Action<ImageNamesTraceData>? action)
        : base(0xFFFF, 1, "Image", ImageNamesLayout.Class, ImageNamesLayout.Names, "Names", ImageNamesLayout.Class, Provider) => _action = action;

    /// <summary>Where the image is; 0 when the event is too short to tell.</summary>
    public ulong ImageBase => EventDataLength >= ImageNamesLayout.First ? (ulong)GetInt64At(ImageNamesLayout.ImageBase) : 0;

    /// <summary>Routines, by their offset in the image; those that the event has room for, whatever it says of their number.</summary>
    public IEnumerable<(uint Rva, string Name)> Names
    {
        get
        {
            if (EventDataLength < ImageNamesLayout.First) yield break;
            var count = GetInt32At(ImageNamesLayout.Count);
            var at = ImageNamesLayout.First;
            for (var i = 0; i < count && at + sizeof(uint) < EventDataLength; i++)
            {
                var rva = (uint)GetInt32At(at);
                var name = new StringBuilder();
                for (at += sizeof(uint); at < EventDataLength && GetByteAt(at) is not 0 and var character; at++) name.Append((char)character);
                at++;
                if (name.Length > 0) yield return (rva, name.ToString());
            }
        }
    }

    public override string[] PayloadNames => payloadNames ??= Fields;

    public override object? PayloadValue(int index) => index == 0 ? ImageBase : null;

    public override StringBuilder ToXml(StringBuilder sb)
    {
        Prefix(sb);
        XmlAttribHex(sb, nameof(ImageBase), ImageBase);
        return sb.Append("/>");
    }

    protected override Delegate? Target
    {
        get => _action;
        set => _action = (Action<ImageNamesTraceData>?)value;
    }

    protected override void Dispatch() => _action?.Invoke(this);
}

/// <summary>The harness's own events.</summary>
public sealed class ImageNamesTraceEventParser(TraceEventSource source) : TraceEventParser(source)
{
    public event Action<ImageNamesTraceData> ImageNames
    {
        add => source.RegisterEventTemplate(new ImageNamesTraceData(value));
        remove => source.UnregisterEventTemplate(value, ImageNamesLayout.Names, ImageNamesLayout.Class);
    }

    protected override string GetProviderName() => ImageNamesTraceData.Provider;

    protected override void EnumerateTemplates(Func<string, string, EventFilterResponse>? eventsToObserve, Action<TraceEvent> callback)
    {
        if (eventsToObserve is null || eventsToObserve(GetProviderName(), "Image/Names") == EventFilterResponse.AcceptEvent) callback(new ImageNamesTraceData(null));
    }
}
