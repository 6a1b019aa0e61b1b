using System.Globalization;

namespace Harness.Cli.Arguments;

/// <summary>A length of time: "10m", "15s", "50ms", "1.5h" or "hh:mm:ss", more than nothing.</summary>
internal static class TimeArgument
{
    /// <summary>Longer says no more: every limit that NT has for a dying process is a matter of minutes.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    private static readonly (string Unit, decimal Ticks)[] Units =
        [("ms", TimeSpan.TicksPerMillisecond), ("s", TimeSpan.TicksPerSecond), ("m", TimeSpan.TicksPerMinute), ("h", TimeSpan.TicksPerHour)];

    /// <summary>The value of --settle.</summary>
    public static TimeSpan Settle(string text)
    {
        var time = Parse(text) ?? throw new UsageException($"--settle: '{text}' is not a time; write 10m, 15s, 50ms or hh:mm:ss");
        if (time <= TimeSpan.Zero) throw new UsageException($"--settle: {text} leaves the client no time to go; write 10m, 15s, 50ms or hh:mm:ss");
        return time <= Longest ? time : throw new UsageException($"--settle: {text} is too long; at most 24h");
    }

    /// <summary>The value of an option that limits how long something may take.</summary>
    public static TimeSpan Limit(string option, string text) => Parse(text) is { } time && time > TimeSpan.Zero && time <= Longest ? time
        : throw new UsageException($"{option}: '{text}' is not a time up to 24h; write 10m, 15s or hh:mm:ss");

    /// <summary>As <see cref="Settle"/> reads it.</summary>
    public static string Text(TimeSpan time)
    {
        var (unit, ticks) = Units.Last(unit => unit.Unit == "ms" || time.Ticks % unit.Ticks == 0);
        return (time.Ticks / ticks).ToString("0.####", CultureInfo.InvariantCulture) + unit;
    }

    private static TimeSpan? Parse(string text)
    {
        if (TimeSpan.TryParseExact(text, [@"h\:mm\:ss", @"hh\:mm\:ss", @"h\:mm\:ss\.FFFFFFF"], CultureInfo.InvariantCulture, out var clock)) return clock;
        foreach (var (unit, ticks) in Units)
            if (text.EndsWith(unit, StringComparison.OrdinalIgnoreCase)
                && decimal.TryParse(text.AsSpan(0, text.Length - unit.Length), NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var count))
                return count <= 0 ? TimeSpan.Zero : count <= long.MaxValue / ticks ? TimeSpan.FromTicks((long)(count * ticks)) : TimeSpan.MaxValue;
        // Nothing is nothing in every unit.
        return text == "0" ? TimeSpan.Zero : null;
    }
}
