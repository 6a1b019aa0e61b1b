using System.Globalization;
using Harness.Core.Traces;

namespace Core.Tests.Traces;

/// <summary>What a pass over a trace tells, one line for each event.</summary>
internal sealed class Told
{
    private Told(TraceFile trace)
    {
        Header = trace.Header;
        IsIncomplete = trace.IsIncomplete;
        var reader = trace.Events();
        while (reader.Next())
        {
            var record = reader.Record;
            var items = "";
            var rest = record.ExtendedItems;
            while (TraceRecord.NextItem(ref rest, out var type, out var data)) items += string.Create(CultureInfo.InvariantCulture, $" item {type}={Convert.ToHexString(data)}");
            if (!record.Counters.IsEmpty) items += $" counters {Convert.ToHexString(record.Counters)}";
            var who = record.IsKernel ? record.HookId.ToString("x4", CultureInfo.InvariantCulture) : record.Provider.ToString()[..8];
            Lines.Add(string.Create(CultureInfo.InvariantCulture, $"{record.Time} cpu {record.Processor} {record.Type} {who} id {record.Id} op {record.Opcode} v{record.Version} {record.ProcessId}.{record.ThreadId}{(record.Is32Bit ? " 32" : "")}{items}: {Convert.ToHexString(record.Payload)}"));
            Times.Add((record.Time, record.Processor));
        }

        Notes = [.. trace.Notes, .. reader.Notes];
    }

    public static Told Of(byte[] file)
    {
        using var trace = TraceFile.Read(new MemoryStream(file));
        return new Told(trace);
    }

    public TraceHeader Header { get; }

    public bool IsIncomplete { get; }

    public List<string> Lines { get; } = [];

    public List<(long Time, int Processor)> Times { get; } = [];

    public IReadOnlyList<string> Notes { get; }
}
