using System.Diagnostics.Eventing.Reader;
using System.Globalization;
using System.Runtime.Versioning;
using Harness.Core.Evidence;

namespace Harness.Windows;

/// <summary>
/// What drivers and the I/O manager report with IoWriteErrorLogEntry: the log "System", the driver's name as the source, the low 16 bits of the code as the event ID
/// (learn.microsoft.com, "Logging Errors" and "IO_ERROR_LOG_PACKET").
/// </summary>
[SupportedOSPlatform("windows")]
internal static class SystemLog
{
    private const string Name = "System";

    /// <summary>More than a run makes; a driver may log without end.</summary>
    private const int Most = 100;

    /// <summary>Events about a driver, the oldest first.</summary>
    /// <param name="from">The oldest that is wanted.</param>
    /// <param name="service">The driver's service, after which its driver object is called.</param>
    /// <param name="device">The NT name of its device, which the I/O manager's events carry.</param>
    /// <exception cref="InvalidOperationException">The log cannot be read; the message is the system's reason.</exception>
    public static EventLogSeen About(DateTimeOffset from, string service, string device)
    {
        try
        {
            var since = from.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
            using var reader = new EventLogReader(new EventLogQuery(Name, PathType.LogName, $"*[System[TimeCreated[@SystemTime>='{since}']]]"));
            List<LoggedEvent> found = [];
            var leftOut = 0;
            while (reader.ReadEvent() is { } record)
            {
                using (record)
                {
                    var provider = record.ProviderName ?? "";
                    var strings = record.Properties.Select(property => property.Value).OfType<string>().ToList();
                    if (!string.Equals(provider, service, StringComparison.OrdinalIgnoreCase) && !strings.Contains(device, StringComparer.OrdinalIgnoreCase)) continue;
                    var logged = new LoggedEvent(provider, record.Id, string.Join("; ", strings)) { Qualifiers = record.Qualifiers };
                    if (found.Count < Most || logged.IsCancelTimeout) found.Add(logged);
                    else leftOut++;
                }
            }

            return new EventLogSeen(Name, found) { LeftOut = leftOut };
        }
        catch (Exception e) when (e is EventLogException or OperationCanceledException or UnauthorizedAccessException or System.ComponentModel.Win32Exception or DllNotFoundException or EntryPointNotFoundException)
        {
            throw new InvalidOperationException($"the system does not let it be read ({e.Message.ReplaceLineEndings(" ").TrimEnd('.')})", e);
        }
    }
}
