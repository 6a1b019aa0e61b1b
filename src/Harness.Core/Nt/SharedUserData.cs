namespace Harness.Core.Nt;

/// <summary>KUSER_SHARED_DATA (ntddk.h): the page that the kernel shares with every process, at one address in every Windows for x64.</summary>
public static class SharedUserData
{
    /// <summary>Where the kernel sees it.</summary>
    public static readonly KernelAddress At = new(0xFFFFF780_00000000);

    public const uint TickCountMultiplier = 0x4, NtBuildNumber = 0x260, NtMajorVersion = 0x26C, TickCount = 0x320;
}
