using System.Runtime.Intrinsics.X86;
using System.Text;

namespace Harness.Windows;

/// <summary>Whether a processor is a virtual machine's, and whose. Leaves: Microsoft's Hypervisor Top Level Functional Specification, "Feature and interface discovery".</summary>
/// <param name="Present">CPUID 1, ECX bit 31.</param>
/// <param name="Vendor">CPUID 0x40000000, EBX, ECX, EDX: "Microsoft Hv".</param>
/// <param name="Privileges">CPUID 0x40000003, EBX of a "Microsoft Hv".</param>
public sealed record Hypervisor(bool Present, string Vendor, uint Privileges)
{
    private const string Microsoft = "Microsoft Hv";

    /// <summary>CreatePartitions: who may make virtual machines is the root of them, a physical machine on which Hyper-V or memory integrity is on.</summary>
    private const uint CreatePartitions = 1;

    /// <summary>"VMware", or null on a physical machine.</summary>
    public string? VirtualMachine => !Present || (Vendor == Microsoft && (Privileges & CreatePartitions) != 0) ? null : Vendor switch
    {
        Microsoft => "Hyper-V",
        "VMwareVMware" => "VMware",
        "VBoxVBoxVBox" => "VirtualBox",
        "KVMKVMKVM" => "KVM",
        "XenVMMXenVMM" => "Xen",
        "" => "a hypervisor",
        _ => Vendor,
    };

    /// <summary>This processor's.</summary>
    public static Hypervisor OfThisMachine()
    {
        if (!X86Base.IsSupported || (X86Base.CpuId(1, 0).Ecx & (1 << 31)) == 0) return new Hypervisor(false, "", 0);
        var (_, ebx, ecx, edx) = X86Base.CpuId(0x4000_0000, 0);
        byte[] name = [.. BitConverter.GetBytes(ebx), .. BitConverter.GetBytes(ecx), .. BitConverter.GetBytes(edx)];
        var vendor = Encoding.ASCII.GetString(name).TrimEnd('\0', ' ');
        return new Hypervisor(true, vendor, vendor == Microsoft ? (uint)X86Base.CpuId(0x4000_0003, 0).Ebx : 0);
    }
}
