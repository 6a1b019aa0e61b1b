using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using Microsoft.Win32.SafeHandles;

namespace Harness.Windows.Native;

/// <summary>SERVICE_STATUS.dwCurrentState (winsvc.h).</summary>
public enum ServiceState
{
    Stopped = 1, StartPending, StopPending, Running, ContinuePending, PausePending, Paused,
}

/// <summary>A handle of a kernel driver's service. Every failure is a <see cref="WindowsException"/>.</summary>
[SupportedOSPlatform("windows")]
public sealed partial class ServiceControl : SafeHandleZeroOrMinusOneIsInvalid
{
    /// <summary>ERROR_SERVICE_DOES_NOT_EXIST.</summary>
    public const int DoesNotExist = 1060;

    /// <summary>ERROR_SERVICE_MARKED_FOR_DELETE.</summary>
    public const int MarkedForDelete = 1072;

    /// <summary>ERROR_SERVICE_NOT_ACTIVE.</summary>
    public const int NotActive = 1062;

    private const uint ManagerConnect = 0x1, ManagerCreate = 0x2;
    internal const uint QueryStatus = 0x4;
    private const uint Start = 0x10, StopRight = 0x20, Delete = 0x10000;
    private const uint KernelDriver = 1, DemandStart = 3, ErrorNormal = 1, ControlStop = 1;

    private string _name = "";

    public ServiceControl()
        : base(ownsHandle: true)
    {
    }

    /// <summary>Installs a driver: CreateService, SERVICE_KERNEL_DRIVER, started on demand.</summary>
    /// <param name="name">The service's name.</param>
    /// <param name="image">The driver file's absolute path.</param>
    public static ServiceControl Create(string name, string image)
    {
        using var manager = Manager(ManagerConnect | ManagerCreate);
        return Usable(CreateService(manager, name, name, QueryStatus | Start | StopRight | Delete, KernelDriver, DemandStart, ErrorNormal, image, null, 0, null, null, null), $"CreateService({name})", name)!;
    }

    /// <summary>The service of this name; null when none is installed.</summary>
    public static ServiceControl? Open(string name) => Open(name, QueryStatus | Start | StopRight | Delete);

    /// <summary>The service of this name, with these rights (SERVICE_XXX of winsvc.h); null when none is installed.</summary>
    internal static ServiceControl? Open(string name, uint access)
    {
        using var manager = Manager(ManagerConnect);
        return Usable(OpenService(manager, name, access), $"OpenService({name})", name, DoesNotExist);
    }

    /// <summary>QueryServiceStatus.</summary>
    public ServiceState State => QueryServiceStatus(this, out var status) ? (ServiceState)status.CurrentState : throw WindowsException.Last($"QueryServiceStatus({_name})");

    /// <summary>StartService: loads the driver and comes back when its DriverEntry has.</summary>
    public void StartDriver()
    {
        if (!StartService(this, 0, 0)) throw WindowsException.Last($"StartService({_name})");
    }

    /// <summary>ControlService(SERVICE_CONTROL_STOP): asks for the driver to be unloaded.</summary>
    public ServiceState Stop() => ControlService(this, ControlStop, out var status) ? (ServiceState)status.CurrentState : throw WindowsException.Last($"ControlService({_name}, stop)");

    /// <summary>DeleteService: it goes when it is stopped and its last handle is closed.</summary>
    public void DeleteIt()
    {
        if (!DeleteService(this)) throw WindowsException.Last($"DeleteService({_name})");
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => CloseServiceHandle(handle);

    private static ServiceControl Manager(uint access) => Usable(OpenSCManager(null, null, access), "OpenSCManager", "")!;

    private static ServiceControl? Usable(ServiceControl service, string call, string name, int orNone = 0)
    {
        if (service.IsInvalid)
        {
            var code = Marshal.GetLastPInvokeError();
            service.Dispose();
            return code == orNone ? null : throw new WindowsException(call, code);
        }

        service._name = name;
        return service;
    }

    /// <summary>SERVICE_STATUS of winsvc.h: 0x1C bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct ServiceStatus
    {
        public uint ServiceType, CurrentState, ControlsAccepted, Win32ExitCode, ServiceSpecificExitCode, CheckPoint, WaitHint;
    }

    // learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-openscmanagerw
    [LibraryImport("advapi32", EntryPoint = "OpenSCManagerW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
    private static partial ServiceControl OpenSCManager(string? machine, string? database, uint access);

    // learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-createservicew
    [LibraryImport("advapi32", EntryPoint = "CreateServiceW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
    private static partial ServiceControl CreateService(ServiceControl manager, string name, string displayName, uint access, uint type, uint start, uint errorControl, string image, string? group, nint tag, string? dependencies, string? account, string? password);

    // learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-openservicew
    [LibraryImport("advapi32", EntryPoint = "OpenServiceW", SetLastError = true, StringMarshalling = StringMarshalling.Utf16)]
    private static partial ServiceControl OpenService(ServiceControl manager, string name, uint access);

    // learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-startservicew
    [LibraryImport("advapi32", EntryPoint = "StartServiceW", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool StartService(ServiceControl service, uint count, nint arguments);

    // learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-controlservice
    [LibraryImport("advapi32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool ControlService(ServiceControl service, uint control, out ServiceStatus status);

    // learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-queryservicestatus
    [LibraryImport("advapi32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool QueryServiceStatus(ServiceControl service, out ServiceStatus status);

    // learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-deleteservice
    [LibraryImport("advapi32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool DeleteService(ServiceControl service);

    // learn.microsoft.com/windows/win32/api/winsvc/nf-winsvc-closeservicehandle
    [LibraryImport("advapi32", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool CloseServiceHandle(nint service);
}
