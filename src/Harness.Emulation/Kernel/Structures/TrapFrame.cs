using Harness.Core.Nt;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel.Structures;

/// <summary>KTRAP_FRAME (ksamd64.inc and wdm.h): everything an interrupted thread needs to go on.</summary>
internal readonly record struct TrapFrame(GuestMemory Memory, ulong Address)
{
    public ulong Rip
    {
        get => Memory.ReadU64(Address + 0x168);
        set => Memory.WriteU64(Address + 0x168, value);
    }

    public ulong Rsp
    {
        get => Memory.ReadU64(Address + 0x180);
        set => Memory.WriteU64(Address + 0x180, value);
    }

    public ulong Rax
    {
        get => Memory.ReadU64(Address + 0x30);
        set => Memory.WriteU64(Address + 0x30, value);
    }

    public ulong FaultAddress => Memory.ReadU64(Address + 0xD0);

    public ulong ErrorCode => Memory.ReadU64(Address + 0x160);

    /// <summary>The mode that was interrupted.</summary>
    public ProcessorMode PreviousMode => (ProcessorMode)Memory.ReadU8(Address + 0x28);

    public byte PreviousIrql => Memory.ReadU8(Address + 0x29);

    public void Save(ref CpuState r, bool user, ulong errorCode, ulong faultAddress)
    {
        Memory.WriteU8(Address + 0x28, (byte)(user ? ProcessorMode.UserMode : ProcessorMode.KernelMode));
        Memory.WriteU8(Address + 0x29, (byte)r.Cr8);
        Memory.WriteU32(Address + 0x2C, r.MxCsr);
        Rax = r.Rax;
        Memory.WriteU64(Address + 0x38, r.Rcx);
        Memory.WriteU64(Address + 0x40, r.Rdx);
        Memory.WriteU64(Address + 0x48, r.R8);
        Memory.WriteU64(Address + 0x50, r.R9);
        Memory.WriteU64(Address + 0x58, r.R10);
        Memory.WriteU64(Address + 0x60, r.R11);
        Span<byte> xmm = stackalloc byte[16];
        for (var i = 0; i < 6; i++)
        {
            CpuRegisters.ReadXmm(ref r, i, xmm);
            Memory.Write(Address + 0x70 + ((ulong)i * 0x10), xmm);
        }
        Memory.WriteU64(Address + 0xD0, faultAddress);
        Memory.WriteU64(Address + 0x140, r.Rbx);
        Memory.WriteU64(Address + 0x148, r.Rdi);
        Memory.WriteU64(Address + 0x150, r.Rsi);
        Memory.WriteU64(Address + 0x158, r.Rbp);
        Memory.WriteU64(Address + 0x160, errorCode);
        Rip = r.Rip;
        Memory.WriteU64(Address + 0x170, user ? 0x33u : 0x10u);
        Memory.WriteU64(Address + 0x178, r.Rflags);
        Rsp = r.Rsp;
        Memory.WriteU64(Address + 0x188, user ? 0x2Bu : 0x18u);
    }

    public void Restore(ref CpuState r)
    {
        r.Cr8 = PreviousIrql;
        r.MxCsr = Memory.ReadU32(Address + 0x2C);
        r.Rax = Rax;
        r.Rcx = Memory.ReadU64(Address + 0x38);
        r.Rdx = Memory.ReadU64(Address + 0x40);
        r.R8 = Memory.ReadU64(Address + 0x48);
        r.R9 = Memory.ReadU64(Address + 0x50);
        r.R10 = Memory.ReadU64(Address + 0x58);
        r.R11 = Memory.ReadU64(Address + 0x60);
        Span<byte> xmm = stackalloc byte[16];
        for (var i = 0; i < 6; i++)
        {
            Memory.Read(Address + 0x70 + ((ulong)i * 0x10), xmm);
            CpuRegisters.WriteXmm(ref r, i, xmm);
        }
        r.Rbx = Memory.ReadU64(Address + 0x140);
        r.Rdi = Memory.ReadU64(Address + 0x148);
        r.Rsi = Memory.ReadU64(Address + 0x150);
        r.Rbp = Memory.ReadU64(Address + 0x158);
        r.Rflags = Memory.ReadU64(Address + 0x178);
        r.Rip = Rip;
        r.Rsp = Rsp;
    }

    /// <summary>A trap frame from which a thread begins in user mode.</summary>
    public void BeginInUserMode(ulong rip, ulong rsp)
    {
        Memory.Fill(Address, Routine.TrapFrameSize, 0);
        Memory.WriteU8(Address + 0x28, (byte)ProcessorMode.UserMode);
        Memory.WriteU32(Address + 0x2C, 0x1F80);
        Rip = rip;
        Rsp = rsp;
        Memory.WriteU64(Address + 0x170, 0x33);
        Memory.WriteU64(Address + 0x178, 0x202);
        Memory.WriteU64(Address + 0x188, 0x2B);
    }
}
