using Harness.Core.Nt;

namespace Harness.Emulation.Kernel;

/// <summary>Event tracing as a provider sees it when nobody has started a session: everything succeeds and nothing is enabled. WPP and WMI included.</summary>
internal static class Etw
{
    public static void Define(NtRoutines nt)
    {
        // EtwRegister(ProviderId, EnableCallback, CallbackContext, RegHandle*)
        nt.Add("EtwRegister", Register);
        nt.Add("EtwRegisterClassicProvider", p =>
        {
            p.Memory.WriteU64(p.Arg(4), NtData.TakeUnique(p.Memory));
            return p.Return(NtStatus.Success);
        });
        foreach (var name in (string[])["EtwUnregister", "EtwSetInformation", "EtwWrite", "EtwWriteEx", "EtwWriteTransfer", "EtwWriteString", "EtwActivityIdControl", "WmiTraceMessage", "WmiTraceMessageVa", "IoWMIRegistrationControl"])
            nt.Add(name, p => p.Return(NtStatus.Success));
        nt.Add("EtwEventEnabled", p => p.Return(false));
        nt.Add("EtwProviderEnabled", p => p.Return(false));
        // Without a logger there is nothing to ask about.
        nt.Add("WmiQueryTraceInformation", p => p.Return(NtStatus.NotFound));
    }

    private static Next Register(Processor p)
    {
        p.Memory.WriteU64(p.Arg(3), NtData.TakeUnique(p.Memory));
        return p.Return(NtStatus.Success);
    }
}
