using System.Globalization;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>How sentences of findings and reports spell things.</summary>
public static class Spelled
{
    /// <summary>"50 ms", "1.5 s", "10 min": the unit a person would choose, at most three digits after the point.</summary>
    public static string Duration(TimeSpan time)
    {
        var (value, unit) = time.Ticks switch
        {
            < TimeSpan.TicksPerMillisecond => (time.Ticks / (decimal)TimeSpan.TicksPerMicrosecond, "us"),
            < TimeSpan.TicksPerSecond => (time.Ticks / (decimal)TimeSpan.TicksPerMillisecond, "ms"),
            < 2 * TimeSpan.TicksPerMinute => (time.Ticks / (decimal)TimeSpan.TicksPerSecond, "s"),
            _ => (time.Ticks / (decimal)TimeSpan.TicksPerMinute, "min"),
        };
        return value.ToString("0.###", CultureInfo.InvariantCulture) + " " + unit;
    }

    /// <summary>"0.050000 s": the run's clock, as timelines show it.</summary>
    public static string Clock(TimeSpan at) =>
        (at.Ticks / (decimal)TimeSpan.TicksPerSecond).ToString("0.000000", CultureInfo.InvariantCulture) + " s";

    /// <summary>"IRP_MJ_DEVICE_CONTROL 0x22200c", or the major function alone.</summary>
    public static string Request(IrpMajor major, uint? ioctl) =>
        ioctl is { } code ? $"{major.NtName()} {HexText.Of(code)}" : major.NtName();

    /// <summary>"IRP 0x… (IRP_MJ_DEVICE_CONTROL 0x22200c on \Device\X)".</summary>
    public static string Irp(IrpRecord irp)
    {
        var location = irp.Locations.FirstOrDefault(l => l.Current);
        var what = location is null ? "no current stack location" : Request(location.Major, location.Ioctl);
        return irp.Device is null ? $"IRP {irp.Address} ({what})" : $"IRP {irp.Address} ({what} on {irp.Device})";
    }
}
