using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Scenarios;
using Harness.Windows;
using Harness.Windows.Native;

namespace Windows.Tests.OnWindows;

/// <summary>This machine, which the suite's user vouches for by running it, and the driver that comes with the harness.</summary>
internal static class Machine
{
    public static readonly DriverUnderTest MyFaultDriver = new(MyFault.FileName, MyFault.Image(), MyFault.Device, new ReleaseRequest(MyFault.Release.Code, MyFault.Release.OutputLength));

    /// <summary>Every wait of the suite itself: whatever takes longer has hung.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static readonly Waits Waits = new(TimeProvider.System, System.Threading.CancellationToken.None);

    public static bool IsWine => TestMachine.Probe().Wine is not null;

    public static LocalTarget Target(Action<string> tell, Action<string>? stepping = null, TimeSpan? timeout = null, TimeProvider? clock = null) =>
        new(clock ?? TimeProvider.System, [Environment.ProcessPath!, ClientProgram.Command], Environment.GetEnvironmentVariable("_NT_SYMBOL_PATH"), tell, new MachineOptions(Vouched: true, timeout ?? TimeSpan.FromMinutes(2))) { Stepping = stepping };

    /// <summary>Plays a scenario; what it left.</summary>
    public static IReadOnlyList<Observation> Play(LocalTarget target, Scenario scenario, uint? ioctl = null, TimeSpan? settle = null, DriverUnderTest? driver = null)
    {
        var code = ioctl ?? scenario.DefaultIoctl;
        var choices = new Choices(code, [], MyFault.WithCode(code)?.OutputLength ?? 0, MyFault.WithCode(code)?.WhenItsCallerDies ?? Outcome.Ended, settle ?? TimeSpan.FromSeconds(1));
        var evidence = new EvidenceLog();
        target.Play(scenario.Tell(choices), driver ?? MyFaultDriver, new Conditions(1, 1), evidence);
        return evidence.Observations;
    }
}

/// <summary>A clock on which a wait of minutes is over in a second: what nothing hangs in passes no faster when somebody waits for it.</summary>
internal sealed class HastyClock : TimeProvider
{
    private static readonly TimeSpan Minutes = TimeSpan.FromMinutes(3);

    public override System.Threading.ITimer CreateTimer(System.Threading.TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        base.CreateTimer(callback, state, dueTime > Minutes ? TimeSpan.FromSeconds(1) : dueTime, period);
}

/// <summary>MyFault, loaded for the tests of a class.</summary>
public sealed class LoadedMyFault : IDisposable
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), "driverfault-myfault-under-test.sys");
    private readonly DriverService _service;

    public LoadedMyFault()
    {
        var name = DriverService.NameFor("myfault-under-test.sys");
        DriverService.Remove(name, _file, Machine.Waits);
        File.WriteAllBytes(_file, MyFault.Image());
        _service = DriverService.Install(name, _file, Machine.Waits);
        _service.Start();
    }

    /// <summary>A new handle of its device.</summary>
    public DeviceHandle Open(bool overlapped)
    {
        var status = DeviceHandle.Open(MyFault.Device, overlapped, out var device);
        return status.IsSuccess ? device : throw new InvalidOperationException($"NtCreateFile({MyFault.Device}): {status}");
    }

    /// <summary>Sends a request that is over when it comes back.</summary>
    public NtStatus Send(MyFaultRequest request, ReadOnlySpan<byte> input, int outputLength, out byte[] output)
    {
        using var device = Open(overlapped: false);
        using var native = new NativeRequest(overlapped: false, input, outputLength);
        var status = device.Control(request.Code, native);
        output = native.Result();
        return status;
    }

    /// <summary>RELEASE: how many it completed.</summary>
    public uint Release() => Send(MyFault.Release, [], MyFault.Release.OutputLength, out var output).IsSuccess ? BitConverter.ToUInt32(output) : throw new InvalidOperationException("RELEASE failed");

    /// <summary>QUERY: MYFAULT_COUNTS.</summary>
    public uint[] Counts() => Send(MyFault.Query, [], MyFault.Query.OutputLength, out var output).IsSuccess ? [.. output.Chunk(4).Select(word => BitConverter.ToUInt32(word))] : throw new InvalidOperationException("QUERY failed");

    public void Dispose()
    {
        _service.Stop();
        _service.Delete();
        Cleaner.DeleteFile(_file, Machine.Waits);
    }
}
