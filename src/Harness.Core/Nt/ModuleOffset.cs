namespace Harness.Core.Nt;

/// <summary>Names of code as evidence spells them: "driver.sys+0x1234", "nt!IopCancelAlertedRequest+0x6d".</summary>
public static class ModuleOffset
{
    /// <summary>The kernel's own module name.</summary>
    public const string Kernel = "nt";

    /// <summary>"driver.sys" of "driver.sys+0x1234", "nt" of "nt!KeWait+0x3"; null of a bare address or of nothing.</summary>
    public static string? Module(string? place)
    {
        if (string.IsNullOrEmpty(place) || place.StartsWith("0x", StringComparison.OrdinalIgnoreCase)) return null;
        var cut = place.AsSpan().IndexOfAny('!', '+');
        return cut < 0 ? place : place[..cut];
    }

    /// <summary>"nt!IopCancelAlertedRequest" of "nt!IopCancelAlertedRequest+0x6d"; code without a symbol keeps its offset.</summary>
    public static string Function(string place)
    {
        var cut = place.LastIndexOf('+');
        return cut < 0 || !place.Contains('!') ? place : place[..cut];
    }

    private static readonly string[] Frameworks =
        ["wdf01000.sys", "wdfldr.sys", "wudfrd.sys", "fltmgr.sys", "ndis.sys", "storport.sys", "scsiport.sys", "classpnp.sys", "ks.sys", "portcls.sys", "hidclass.sys", "usbport.sys", "tdi.sys", "netio.sys", "verifier.sys", "verifierext.sys"];

    /// <summary>True for code outside the kernel image and inside a module.</summary>
    public static bool IsDriver(string? module) =>
        module is not null && !module.Equals(Kernel, StringComparison.OrdinalIgnoreCase) && !module.Equals("hal", StringComparison.OrdinalIgnoreCase) && !module.Equals("hal.dll", StringComparison.OrdinalIgnoreCase);

    /// <summary>
    /// Windows' own modules that call drivers and wait for them: the frameworks (KMDF, UMDF), the filter manager, class and port drivers (Windows driver
    /// documentation, "Driver models and frameworks"), Driver Verifier. What waits in one of them waits for the driver it was called by.
    /// </summary>
    public static bool IsFramework(string? module) => Array.Exists(Frameworks, name => name.Equals(module, StringComparison.OrdinalIgnoreCase));
}
