using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>
/// Names of devices, drivers and files, as NT's objects carry them: OBJECT_HEADER_NAME_INFO before the object's header, and the
/// directories above it.
/// </summary>
internal sealed class ObjectNames(KernelMemoryReader memory, NtLayout layout, LoadedModules modules)
{
    private const int DeepestDirectory = 16;

    /// <summary>DEVICE_OBJECT.StackSize is a CHAR.</summary>
    private const int HighestDeviceStack = 127;

    private readonly Dictionary<ulong, string?> _devices = [];
    private readonly Dictionary<ulong, string?> _drivers = [];

    /// <summary>"\Device\X"; the address of a device without a name, or of something that isn't a device; null for the null pointer.</summary>
    public string? Device(KernelAddress device)
    {
        if (device.IsNull) return null;
        if (_devices.TryGetValue(device.Value, out var known)) return known;
        return _devices[device.Value] = (IsDevice(device) ? FullName(device) : null) ?? device.ToString();
    }

    /// <summary>
    /// The driver of a device: "driver.sys", the module that holds DRIVER_OBJECT.DriverStart, or DriverName when none does (a driver object
    /// that another module made). Null when it can't be told.
    /// </summary>
    public string? DriverOfDevice(KernelAddress device)
    {
        if (device.IsNull || !IsDevice(device)) return null;
        if (memory.Pointer(device + layout.DeviceObject.DriverObject) is not { IsKernel: true } driver) return null;
        if (_drivers.TryGetValue(driver.Value, out var known)) return known;
        return _drivers[driver.Value] = Driver(driver);
    }

    /// <summary>The devices that are attached to each other, from the highest to the lowest, of which this is one; null when it stands alone.</summary>
    public IReadOnlyList<AttachedDevice>? StackOf(KernelAddress device)
    {
        if (device.IsNull || !IsDevice(device)) return null;
        var devices = new List<KernelAddress> { device };
        while (devices.Count <= HighestDeviceStack && Next(devices[0], d => memory.Pointer(d + layout.DeviceObject.AttachedDevice)) is { } above) devices.Insert(0, above);
        while (devices.Count <= HighestDeviceStack && Next(devices[^1], Below) is { } below) devices.Add(below);
        return devices.Count == 1 ? null : [.. devices.Select(d => new AttachedDevice(d, Device(d)!, DriverOfDevice(d)))];

        KernelAddress? Next(KernelAddress from, Func<KernelAddress, KernelAddress?> link)
        {
            if (link(from) is not { IsNull: false } next) return null;
            if (IsDevice(next) && !devices.Contains(next)) return next;
            memory.Note($"the device {from} is attached to {next}, which {(IsDevice(next) ? "is below and above it" : "is not a device")}");
            return null;
        }

        KernelAddress? Below(KernelAddress from) =>
            memory.Pointer(from + layout.DeviceObject.DeviceObjectExtension) is { IsKernel: true } extension ? memory.Pointer(extension + DeviceObjectLayout.AttachedTo) : null;
    }

    public bool IsDevice(KernelAddress address) => address.IsKernel && memory.UInt16(address + layout.DeviceObject.Type) is DeviceObjectLayout.TypeCode;

    /// <summary>A FILE_OBJECT by its type, its size and its device: three facts that other memory rarely has at once.</summary>
    public bool IsFile(KernelAddress address) =>
        address.IsKernel && address.Value % 8 == 0
        && memory.UInt16(address + layout.FileObject.Type) is FileObjectLayout.TypeCode
        && memory.UInt16(address + layout.FileObject.Size) is { } size && size == layout.FileObject.SizeInBytes
        && memory.Pointer(address + layout.FileObject.DeviceObject) is { } device && IsDevice(device);

    /// <summary>"File 0x… \Device\X", with the name it was opened by below the device.</summary>
    public string File(KernelAddress file)
    {
        var device = memory.Pointer(file + layout.FileObject.DeviceObject) is { } address ? Device(address) : null;
        return $"File {file} {device}{memory.UnicodeString(file + layout.FileObject.FileName)}";
    }

    private string? Driver(KernelAddress driver)
    {
        if (memory.UInt16(driver + layout.DriverObject.Type) is not DriverObjectLayout.TypeCode) return null;
        if (memory.Pointer(driver + layout.DriverObject.DriverStart) is { IsKernel: true } start && modules.FileOf(start) is { } file) return file;
        return memory.UnicodeString(driver + layout.DriverObject.DriverName) is { Length: > 0 } name ? name : null;
    }

    private string? FullName(KernelAddress device)
    {
        var path = "";
        var at = device;
        for (var depth = 0; depth < DeepestDirectory; depth++)
        {
            if (NameInfo(at) is not { } info || memory.UnicodeString(info + ObjectHeaderLayout.NameInfoName) is not { Length: > 0 } name) break;
            // The root directory is called "\" and lies in no directory.
            if (name == @"\") return path;
            path = (name[0] == '\\' ? "" : @"\") + name + path;
            if (memory.Pointer(info + ObjectHeaderLayout.NameInfoDirectory) is not { } directory || directory.IsNull) break;
            at = directory;
        }

        return path.Length == 0 ? null : path;
    }

    private KernelAddress? NameInfo(KernelAddress body)
    {
        var header = body - layout.ObjectHeader.Body;
        return memory.Byte(header + layout.ObjectHeader.InfoMask) is { } mask && ObjectHeaderLayout.NameInfoBefore(mask) is { } before ? header - before : null;
    }
}
