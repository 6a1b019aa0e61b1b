using System.Runtime.Versioning;
using Harness.Windows.Native;
using Microsoft.Win32;

namespace Harness.Windows;

/// <summary>The service of one driver, from its installation to its removal.</summary>
[SupportedOSPlatform("windows")]
internal sealed class DriverService : IDisposable
{
    /// <summary>What is stopped or deleted is gone after the last handle of it: a service viewer may have one for a moment.</summary>
    private static readonly TimeSpan ToGo = TimeSpan.FromSeconds(10);

    private readonly string _name;
    private readonly Waits _waits;
    private readonly ServiceControl _service;

    private DriverService(string name, Waits waits, ServiceControl service) => (_name, _waits, _service) = (name, waits, service);

    /// <summary>The name of the service that a driver file is given: no service of anybody else's is called so.</summary>
    public static string NameFor(string fileName) =>
        "DriverFault-" + string.Concat(Path.GetFileNameWithoutExtension(fileName).Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' ? c : '-'));

    /// <summary>Installs the driver.</summary>
    /// <exception cref="WindowsException">It cannot be.</exception>
    public static DriverService Install(string name, string image, Waits waits)
    {
        ServiceControl? service = null;
        WindowsException? refused = null;
        var installed = waits.Until(ToGo, () =>
        {
            try
            {
                service = ServiceControl.Create(name, image);
                return true;
            }
            catch (WindowsException e) when (e.Code == ServiceControl.MarkedForDelete)
            {
                refused = e;
                return false;
            }
        });
        return installed ? new DriverService(name, waits, service!) : throw refused!;
    }

    /// <summary>Loads the driver: DriverEntry has returned a success.</summary>
    /// <exception cref="WindowsException">It did not, or the system would not load it.</exception>
    public void Start() => _service.StartDriver();

    /// <summary>Asks for the driver to be unloaded and waits for it.</summary>
    /// <returns>Null when it was; otherwise why not.</returns>
    public string? Stop() => Stop(_service, _waits);

    /// <summary>Deletes the service.</summary>
    /// <returns>Null when it is gone; otherwise why not.</returns>
    public string? Delete()
    {
        var why = Delete(_service);
        _service.Dispose();
        return why ?? (_waits.Until(ToGo, () => !Exists(_name)) ? null : Remains(_name));
    }

    /// <summary>Stops and deletes the service of this name, if it is one that a run has left: its driver's file is in the folder of this one.</summary>
    /// <returns>Null when there is none any more; otherwise why there is.</returns>
    public static string? Remove(string name, string image, Waits waits)
    {
        using (var service = ServiceControl.Open(name))
        {
            if (service is null) return null;
            if (ImageOf(name) is { } other && !string.Equals(Path.GetDirectoryName(other), Path.GetDirectoryName(image), StringComparison.OrdinalIgnoreCase))
                return $"the service {name} is none of this program's, its driver's file is {other}: remove it (sc.exe delete {name}), or give the driver file another name";
            var stopped = Stop(service, waits);
            if ((Delete(service) ?? stopped) is { } why) return why;
        }

        return waits.Until(ToGo, () => !Exists(name)) ? null : Remains(name);
    }

    /// <summary>A service of this name is installed.</summary>
    public static bool Exists(string name)
    {
        using var service = ServiceControl.Open(name);
        return service is not null;
    }

    public void Dispose() => _service.Dispose();

    /// <summary>The driver's file, as the service's key in the registry has it (learn.microsoft.com, "HKLM\SYSTEM\CurrentControlSet\Services Registry Tree"); null: it does not say.</summary>
    private static string? ImageOf(string name)
    {
        using var key = Registry.LocalMachine.OpenSubKey(@"SYSTEM\CurrentControlSet\Services\" + name);
        return key?.GetValue("ImagePath") is not string path ? null : path.StartsWith(@"\??\", StringComparison.Ordinal) ? path[4..] : path;
    }

    private static string Remains(string name) => $"the service {name} is marked for deletion and still there: it goes with the last handle of it, or when the machine restarts";

    private static string? Stop(ServiceControl service, Waits waits)
    {
        try
        {
            if (service.State == ServiceState.Stopped || service.Stop() == ServiceState.Stopped) return null;
            return waits.Until(ToGo, () => service.State == ServiceState.Stopped) ? null : $"it was told to stop, and its service is {service.State}";
        }
        catch (WindowsException e) when (e.Code == ServiceControl.NotActive)
        {
            return null;
        }
        catch (WindowsException e)
        {
            return e.Message;
        }
    }

    private static string? Delete(ServiceControl service)
    {
        try
        {
            service.DeleteIt();
            return null;
        }
        catch (WindowsException e) when (e.Code == ServiceControl.MarkedForDelete)
        {
            return null;
        }
        catch (WindowsException e)
        {
            return e.Message;
        }
    }
}
