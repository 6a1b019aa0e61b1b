using System.Reflection.PortableExecutable;
using Harness.Core.Targets;

namespace Harness.Emulation.Image;

/// <summary>
/// Which of the files that Windows can load this is, and whether the emulated kernel can: x64 WDM drivers. A driver that a framework or a class or
/// port driver starts is known by its imports, since its DriverEntry does little more than to register there.
/// </summary>
internal static class DriverKind
{
    // The library, what a driver of the kind cannot do without, and what Microsoft's documentation calls it.
    private static readonly (string Library, string Import, string Kind)[] Frameworks =
    [
        ("wdfldr.sys", "WdfVersionBind", "a KMDF driver"),
        ("fltmgr.sys", "FltRegisterFilter", "a file system minifilter"),
        ("ndis.sys", "NdisMRegisterMiniportDriver", "a network (NDIS) driver"),
        ("storport.sys", "StorPortInitialize", "a storage (Storport) miniport driver"),
        ("scsiport.sys", "ScsiPortInitialize", "a storage (SCSI port) miniport driver"),
        ("ataport.sys", "AtaPortInitialize", "a storage (ATA port) miniport driver"),
        ("classpnp.sys", "ClassInitialize", "a storage class driver"),
        ("portcls.sys", "PcInitializeAdapterDriver", "an audio (PortCls) driver"),
        ("ks.sys", "KsInitializeDriver", "a kernel streaming driver"),
        ("stream.sys", "StreamClassRegisterAdapter", "a streaming minidriver"),
        ("hidclass.sys", "HidRegisterMinidriver", "a HID minidriver"),
        ("videoprt.sys", "VideoPortInitialize", "a video miniport driver"),
        ("win32k.sys", "EngCreateBitmap", "a GDI display driver"),
    ];

    // What only programs and DLLs of user mode import.
    private static readonly string[] UserMode = ["ntdll.dll", "kernel32.dll", "kernelbase.dll", "user32.dll", "advapi32.dll", "msvcrt.dll", "ucrtbase.dll"];

    /// <summary>Looks at the headers.</summary>
    /// <exception cref="UnusableDriverException">It is no x64 kernel driver.</exception>
    public static void Check(PEHeaders headers, string fileName)
    {
        var machine = headers.CoffHeader.Machine;
        var header = headers.PEHeader!;
        // Before the machine: most of them are built for any.
        if (header.CorHeaderTableDirectory.RelativeVirtualAddress != 0)
            throw new UnusableDriverException($"{fileName} is a .NET assembly, not a driver");
        if (machine != Machine.Amd64)
            throw new UnusableDriverException($"{fileName} is built for {NameOf(machine)}; the emulated target runs x64 drivers: build it for x64");
        if (header.Magic != PEMagic.PE32Plus)
            throw new UnusableDriverException($"{fileName} is a broken image: an x64 image has a PE32+ header");
        if (header.Subsystem != Subsystem.Native)
            throw new UnusableDriverException($"{fileName} is {NameOf(header.Subsystem, headers.IsDll)}, not a kernel driver: its subsystem is {header.Subsystem}, a driver's is Native (link with /SUBSYSTEM:NATIVE /DRIVER)");
        if ((headers.CoffHeader.Characteristics & Characteristics.RelocsStripped) != 0)
            throw new UnusableDriverException($"{fileName} has no relocations, so a kernel can't place it: link with /DYNAMICBASE (mingw: -Wl,--dynamicbase)");
    }

    /// <summary>Looks at what it imports.</summary>
    /// <exception cref="UnusableDriverException">It is no WDM driver.</exception>
    public static void Check(IReadOnlyList<ImageImport> imports, string fileName)
    {
        if (imports.FirstOrDefault(import => UserMode.Contains(import.Library, StringComparer.OrdinalIgnoreCase)) is { } user)
            throw new UnusableDriverException($"{fileName} is a user-mode program or DLL, not a kernel driver: it imports {user}");
        foreach (var (library, name, kind) in Frameworks)
        {
            var telling = imports.FirstOrDefault(import => import.Name == name) ?? imports.FirstOrDefault(import => library.Equals(import.Library, StringComparison.OrdinalIgnoreCase));
            if (telling is not null)
                throw new UnusableDriverException($"{fileName} is {kind} (it imports {telling}); the emulated target does not support these yet: it runs WDM drivers, which import ntoskrnl.exe and hal.dll alone");
        }
    }

    private static string NameOf(Machine machine) => machine switch
    {
        Machine.I386 => "32-bit x86",
        Machine.Arm64 => "ARM64",
        Machine.Arm or Machine.ArmThumb2 or Machine.Thumb => "32-bit ARM",
        Machine.IA64 => "Itanium",
        _ => $"machine type 0x{(ushort)machine:x4}",
    };

    private static string NameOf(Subsystem subsystem, bool isLibrary) => subsystem switch
    {
        Subsystem.WindowsGui or Subsystem.WindowsCui => isLibrary ? "a user-mode DLL" : "a user-mode program",
        Subsystem.EfiApplication or Subsystem.EfiBootServiceDriver or Subsystem.EfiRuntimeDriver or Subsystem.EfiRom => "an EFI image",
        _ => "something else",
    };
}
