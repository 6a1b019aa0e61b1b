using System.Runtime.InteropServices;
using Harness.Emulation.Cpu;
using Harness.Emulation.Memory;

namespace Emulation.Tests.Cpu;

/// <summary>
/// Unicorn, an emulator by others (unicorn-engine.org), as a second opinion where the library libunicorn.so.2 is installed. Numbers are
/// those of its headers unicorn.h and x86.h, version 2.
/// </summary>
internal sealed unsafe partial class Unicorn : IDisposable
{
    private const string Library = "libunicorn.so.2";
    private const int ArchitectureX86 = 4;
    private const int Mode64 = 8;
    private const int PermissionAll = 7;
    private const int Flags = 25;
    private const int Rip = 41;
    private const int Xmm0 = 122;

    // rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15.
    private static readonly int[] General = [35, 38, 40, 37, 44, 36, 43, 39, 106, 107, 108, 109, 110, 111, 112, 113];

    private readonly nint _engine;

    /// <summary>A machine with a copy of a memory, without its permissions.</summary>
    public Unicorn(GuestMemory memory)
    {
        Demand(uc_open(ArchitectureX86, Mode64, out _engine));
        foreach (var page in memory.Pages)
        {
            var bytes = new byte[GuestMemory.PageSize];
            memory.Read(page.Address, bytes);
            Demand(uc_mem_map(_engine, page.Address, GuestMemory.PageSize, PermissionAll));
            fixed (byte* from = bytes) Demand(uc_mem_write(_engine, page.Address, from, GuestMemory.PageSize));
        }
    }

    /// <summary>Why there is none here; null when there is one.</summary>
    public static string? Lacks => NativeLibrary.TryLoad(Library, out _) ? null : $"{Library} is not installed (Debian's libunicorn2)";

    public void Dispose() => _ = uc_close(_engine);

    /// <summary>Executes from the state's rip until execution gets to an address; the state is what it leaves.</summary>
    /// <exception cref="InvalidOperationException">Unicorn's own complaint.</exception>
    public void Run(ref CpuState state, ulong until)
    {
        fixed (CpuState* s = &state)
        {
            for (var i = 0; i < 16; i++) Demand(uc_reg_write(_engine, General[i], &s->Rax + i));
            for (var i = 0; i < 16; i++) Demand(uc_reg_write(_engine, Xmm0 + i, &s->Xmm0 + i));
            Demand(uc_reg_write(_engine, Flags, &s->Rflags));
            var error = uc_emu_start(_engine, s->Rip, until, 0, 0);
            Demand(uc_reg_read(_engine, Rip, &s->Rip));
            if (error != 0) throw new InvalidOperationException($"Unicorn, at {s->Rip:x}: {Marshal.PtrToStringUTF8(uc_strerror(error))}");
            for (var i = 0; i < 16; i++) Demand(uc_reg_read(_engine, General[i], &s->Rax + i));
            for (var i = 0; i < 16; i++) Demand(uc_reg_read(_engine, Xmm0 + i, &s->Xmm0 + i));
            Demand(uc_reg_read(_engine, Flags, &s->Rflags));
        }
    }

    public void Read(ulong address, Span<byte> into)
    {
        fixed (byte* to = into) Demand(uc_mem_read(_engine, address, to, (ulong)into.Length));
    }

    public void Write(ulong address, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* from = bytes) Demand(uc_mem_write(_engine, address, from, (ulong)bytes.Length));
    }

    private static void Demand(int error)
    {
        if (error != 0) throw new InvalidOperationException($"Unicorn: {Marshal.PtrToStringUTF8(uc_strerror(error))}");
    }

    [LibraryImport(Library)]
    private static partial int uc_open(int architecture, int mode, out nint engine);

    [LibraryImport(Library)]
    private static partial int uc_close(nint engine);

    [LibraryImport(Library)]
    private static partial nint uc_strerror(int error);

    [LibraryImport(Library)]
    private static partial int uc_mem_map(nint engine, ulong address, ulong size, uint permissions);

    [LibraryImport(Library)]
    private static partial int uc_mem_read(nint engine, ulong address, void* into, ulong size);

    [LibraryImport(Library)]
    private static partial int uc_mem_write(nint engine, ulong address, void* from, ulong size);

    [LibraryImport(Library)]
    private static partial int uc_reg_read(nint engine, int register, void* into);

    [LibraryImport(Library)]
    private static partial int uc_reg_write(nint engine, int register, void* from);

    [LibraryImport(Library)]
    private static partial int uc_emu_start(nint engine, ulong begin, ulong until, ulong timeout, ulong count);
}
