using System.Runtime.InteropServices;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>CONTEXT of x64 (winnt.h): all registers of a thread, 16-byte aligned.</summary>
internal readonly record struct ContextRecord(GuestMemory Memory, ulong Address)
{
    public const uint Size = 0x4D0;

    // CONTEXT_AMD64 with CONTROL, INTEGER and FLOATING_POINT.
    private const uint ControlIntegerFloat = 0x10000B;

    // Rax to R15 and Rip stand in the order of their numbers in instructions, here and in CpuState.
    private const uint Integers = 0x78, IntegerBytes = 17 * 8, Xmm = 0x1A0;

    /// <summary>A general register by its number in instructions.</summary>
    public ulong this[int register]
    {
        get => Memory.ReadU64(Address + Integers + ((ulong)register * 8));
        set => Memory.WriteU64(Address + Integers + ((ulong)register * 8), value);
    }

    public ulong Rax
    {
        get => this[0];
        set => this[0] = value;
    }

    public ulong Rsp
    {
        get => this[4];
        set => this[4] = value;
    }

    public ulong Rip
    {
        get => this[16];
        set => this[16] = value;
    }

    /// <summary>Where an XMM register lies in the record.</summary>
    public ulong XmmAddress(int number) => Address + Xmm + ((ulong)number * 0x10);

    /// <summary>Fills the record from a processor's registers.</summary>
    public void Capture(ref CpuState r)
    {
        Memory.Fill(Address, Size, 0);
        Memory.WriteU32(Address + 0x30, ControlIntegerFloat);
        // MxCsr, SegCs, SegSs, EFlags; FltSave.MxCsr.
        Memory.WriteU32(Address + 0x34, r.MxCsr);
        Memory.WriteU16(Address + 0x38, 0x10);
        Memory.WriteU16(Address + 0x42, 0x18);
        Memory.WriteU32(Address + 0x44, (uint)r.Rflags);
        Memory.WriteU32(Address + 0x118, r.MxCsr);
        Memory.Write(Address + Integers, IntegersOf(ref r));
        Span<byte> xmm = stackalloc byte[16];
        for (var i = 0; i < 16; i++)
        {
            CpuRegisters.ReadXmm(ref r, i, xmm);
            Memory.Write(XmmAddress(i), xmm);
        }
    }

    /// <summary>Gives a processor's registers the record's values.</summary>
    public void Load(ref CpuState r)
    {
        r.MxCsr = Memory.ReadU32(Address + 0x34);
        r.Rflags = Memory.ReadU32(Address + 0x44);
        Memory.Read(Address + Integers, IntegersOf(ref r));
        Span<byte> xmm = stackalloc byte[16];
        for (var i = 0; i < 16; i++)
        {
            Memory.Read(XmmAddress(i), xmm);
            CpuRegisters.WriteXmm(ref r, i, xmm);
        }
    }

    private static Span<byte> IntegersOf(ref CpuState r) => MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref r, 1))[..(int)IntegerBytes];
}
