using System.Buffers.Binary;
using System.Text;
using Harness.Core.Nt;

namespace Harness.Emulation.Dumps;

/// <summary>What the header of a dump says of the machine, besides where its memory is.</summary>
internal sealed record DumpHeader
{
    private const ushort Amd64 = 0x8664;
    private const int ContextBytes = 0x4D0, ContextRip = 0xF8;

    public required int Build { get; init; }

    public required int Processors { get; init; }

    public required ulong DirectoryTableBase { get; init; }

    public required ulong PsLoadedModuleList { get; init; }

    public required ulong PsActiveProcessHead { get; init; }

    public required ulong KdDebuggerDataBlock { get; init; }

    /// <summary>The bug check, and its four parameters.</summary>
    public required uint BugCheckCode { get; init; }

    public required IReadOnlyList<ulong> BugCheckParameters { get; init; }

    /// <summary>CONTEXT of the processor that stopped the machine.</summary>
    public required byte[] Context { get; init; }

    /// <summary>In 100 ns units since 1601.</summary>
    public required ulong SystemTime { get; init; }

    /// <summary>In 100 ns units.</summary>
    public required ulong SystemUpTime { get; init; }

    /// <summary>All 0x2000 bytes but those that tell what the file holds.</summary>
    public byte[] ToBytes()
    {
        var bytes = new byte[DumpHeaderLayout.SizeInBytes];
        var header = bytes.AsSpan();
        for (var i = 0; i < header.Length; i += 4) "PAGE"u8.CopyTo(header[i..]);
        "PAGEDU64"u8.CopyTo(header);
        Put32(DumpHeaderLayout.MajorVersion, 0xF);
        Put32(DumpHeaderLayout.MinorVersion, (uint)Build);
        Put64(DumpHeaderLayout.DirectoryTableBase, DirectoryTableBase);
        Put64(DumpHeaderLayout.PfnDataBase, 0);
        Put64(DumpHeaderLayout.PsLoadedModuleList, PsLoadedModuleList);
        Put64(DumpHeaderLayout.PsActiveProcessHead, PsActiveProcessHead);
        Put32(DumpHeaderLayout.MachineImageType, Amd64);
        Put32(DumpHeaderLayout.NumberProcessors, (uint)Processors);
        Put32(DumpHeaderLayout.BugCheckCode, BugCheckCode);
        for (var i = 0; i < 4; i++) Put64(DumpHeaderLayout.BugCheckParameter1 + (8 * i), BugCheckParameters[i]);
        Put64(DumpHeaderLayout.KdDebuggerDataBlock, KdDebuggerDataBlock);
        Context.AsSpan(0, ContextBytes).CopyTo(header[DumpHeaderLayout.ContextRecord..]);
        // As a bug check leaves it: STATUS_BREAKPOINT where the machine was stopped.
        header.Slice(DumpHeaderLayout.Exception, 0x98).Clear();
        Put32(DumpHeaderLayout.Exception, 0x80000003);
        Context.AsSpan(ContextRip, 8).CopyTo(header[(DumpHeaderLayout.Exception + 0x10)..]);
        Put64(DumpHeaderLayout.SystemTime, SystemTime);
        header.Slice(DumpHeaderLayout.Comment, 128).Clear();
        Encoding.ASCII.GetBytes("A machine emulated by DriverFaultHarness", header[DumpHeaderLayout.Comment..]);
        Put64(DumpHeaderLayout.SystemUpTime, SystemUpTime);
        Put32(DumpHeaderLayout.MiniDumpFields, 0);
        Put32(DumpHeaderLayout.SecondaryDataState, 0);
        // VER_NT_WORKSTATION; VER_SUITE_TERMINAL | VER_SUITE_SINGLEUSERTS.
        Put32(DumpHeaderLayout.ProductType, 1);
        Put32(DumpHeaderLayout.SuiteMask, 0x110);
        Put32(DumpHeaderLayout.WriterStatus, 0);
        header[DumpHeaderLayout.KdSecondaryVersion] = 2;
        Put32(DumpHeaderLayout.Attributes, 0);
        Put32(DumpHeaderLayout.BootId, 1);
        return bytes;

        void Put32(int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(at), value);
        void Put64(int at, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), value);
    }
}
