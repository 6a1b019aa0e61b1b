using System.Runtime.Versioning;
using System.Threading;
using Harness.Core.Nt;
using Harness.Core.Targets;
using Harness.Windows.Native;

namespace Harness.Windows;

/// <summary>Brings a machine back to what it was: in this order, since a driver cannot be unloaded before it has let go, nor opened once somebody has told it to stop.</summary>
[SupportedOSPlatform("windows")]
internal static class Cleaner
{
    /// <summary>What is released ends at once; anything longer is not coming.</summary>
    private static readonly TimeSpan ToEnd = TimeSpan.FromSeconds(10);

    /// <summary>Cleans up after a run that could not do it itself.</summary>
    /// <returns>What is still there all the same, a sentence each.</returns>
    public static IReadOnlyList<string> Clean(Leftovers left, Waits waits)
    {
        if (left.Session is not null) KernelTrace.EndLeftover();
        List<string> remains = [];
        var clients = left.Clients.Where(IsStillThere).Select(client => Open(client, remains)).OfType<ProcessHandle>().ToList();
        foreach (var client in clients) client.Terminate(1);
        if (left.ReleaseCode is { } code && DeviceHandle.Open(Caller.NtName(left.Device), overlapped: true, out var device) is { IsSuccess: true })
            using (device)
                Release(device, new ReleaseRequest(code, left.ReleaseLength));

        foreach (var client in clients)
        {
            using (client)
                if (!client.Wait(ToEnd)) remains.Add($"process {client.Pid} of an earlier run does not end: the machine has to be restarted");
        }

        if (DriverService.Remove(left.Service, left.Image, waits) is { } why) remains.Add($"{left.Service}: {why}");
        if (DeleteFile(left.Image, waits) is { } file) remains.Add(file);
        return remains;
    }

    /// <summary>Asks the driver to let go of everything.</summary>
    /// <returns>What it answered; STATUS_TIMEOUT when it pends even that.</returns>
    public static NtStatus Release(DeviceHandle device, ReleaseRequest release)
    {
        var request = new NativeRequest(overlapped: true, [], release.OutputLength);
        var status = device.Control(release.Code, request);
        if (status == NtStatus.Pending && !request.Wait(ToEnd)) return NtStatus.Timeout;
        if (status == NtStatus.Pending) status = request.Status;
        request.Dispose();
        return status;
    }

    /// <summary>Deletes a driver's file, which its image section may keep for a moment.</summary>
    /// <returns>Null when it is gone; otherwise why not.</returns>
    public static string? DeleteFile(string path, Waits waits)
    {
        var why = "";
        return waits.Until(ToEnd, () =>
        {
            try
            {
                File.Delete(path);
                return true;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                why = e.Message;
                return false;
            }
        }) ? null : $"{path}: {why}";
    }

    // A process ID is given away again, its time of creation is not.
    private static bool IsStillThere(LeftProcess left) => SystemInformation.Processes().Any(process => process.Pid == left.Pid && Math.Abs(process.Created - left.Created) < TimeSpan.TicksPerSecond);

    private static ProcessHandle? Open(LeftProcess left, List<string> remains)
    {
        try
        {
            return ProcessHandle.Open(left.Pid);
        }
        catch (WindowsException e)
        {
            // It may have ended since somebody looked.
            if (IsStillThere(left)) remains.Add($"process {left.Pid} of an earlier run cannot be ended: {e.Message}");
            return null;
        }
    }
}
