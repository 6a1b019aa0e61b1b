using System.Buffers.Binary;
using System.Text;
using Harness.Core.Nt;

namespace Core.Tests.Diagnosis;

/// <summary>A PE32+ image as it lies in memory: code, .pdata, unwind information and exports, each where a test wants it.</summary>
internal sealed class FakeImage(uint size = 0x8000)
{
    public const uint CodeRva = 0x1000;
    private const uint FunctionTableRva = 0x4000, ExportRva = 0x6000;

    private readonly byte[] _bytes = new byte[size];
    private readonly List<(uint Begin, uint End, uint Unwind)> _functions = [];
    private readonly List<(string Name, uint Rva)> _exports = [];
    private uint _nextUnwind = 0x5000;

    /// <summary>The name in the export directory.</summary>
    public string ExportName { get; init; } = "fake.sys";

    /// <summary>Adds unwind information: header and codes as given, then what follows them.</summary>
    /// <returns>Its RVA.</returns>
    public uint UnwindInfo(byte[] codes, byte prologue = 0, int version = 1, int flags = 0, int frameRegister = 0, int frameOffset = 0, params uint[] after)
    {
        var at = _nextUnwind;
        _bytes[at] = (byte)(version | (flags << 3));
        _bytes[at + 1] = prologue;
        _bytes[at + 2] = (byte)(codes.Length / 2);
        _bytes[at + 3] = (byte)(frameRegister | (frameOffset << 4));
        codes.CopyTo(_bytes, (int)at + 4);
        var next = at + 4 + (((uint)codes.Length + 3) & ~3u);
        foreach (var word in after)
        {
            Put(next, word);
            next += 4;
        }

        _nextUnwind = next;
        return at;
    }

    public FakeImage Function(uint begin, uint end, uint unwind)
    {
        _functions.Add((begin, end, unwind));
        return this;
    }

    public FakeImage Export(string name, uint rva)
    {
        _exports.Add((name, rva));
        return this;
    }

    public FakeImage Code(uint rva, params byte[] code)
    {
        code.CopyTo(_bytes, (int)rva);
        return this;
    }

    public byte[] Build()
    {
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes, 0x5A4D);
        Put(0x3C, 0x80);
        Put(0x80, 0x4550);
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(0x84), 0x8664);
        BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan(0x98), 0x20B);
        Put(0x80 + 0x50, size);
        Put(0x80 + 0x84, 16);
        if (_exports.Count > 0)
        {
            Put(0x80 + 0x88, ExportRva);
            Put(0x80 + 0x8C, 0x1000);
        }

        if (_functions.Count > 0)
        {
            Put(0x80 + 0x88 + 24, FunctionTableRva);
            Put(0x80 + 0x8C + 24, (uint)_functions.Count * 12);
        }

        foreach (var (i, (begin, end, unwind)) in _functions.OrderBy(f => f.Begin).Index())
        {
            Put(FunctionTableRva + ((uint)i * 12), begin);
            Put(FunctionTableRva + ((uint)i * 12) + 4, end);
            Put(FunctionTableRva + ((uint)i * 12) + 8, unwind);
        }

        if (_exports.Count > 0) WriteExports();
        return _bytes;
    }

    private void WriteExports()
    {
        var count = (uint)_exports.Count;
        var (functions, names, ordinals, text) = (ExportRva + 0x28, ExportRva + 0x28 + (count * 4), ExportRva + 0x28 + (count * 8), ExportRva + 0x28 + (count * 10));
        var name = text + (uint)_exports.Sum(e => e.Name.Length + 1);
        Put(ExportRva + 0x0C, name);
        Encoding.ASCII.GetBytes(ExportName, _bytes.AsSpan((int)name));
        Put(ExportRva + 0x14, count);
        Put(ExportRva + 0x18, count);
        Put(ExportRva + 0x1C, functions);
        Put(ExportRva + 0x20, names);
        Put(ExportRva + 0x24, ordinals);
        foreach (var (i, (export, rva)) in _exports.OrderBy(e => e.Name, StringComparer.Ordinal).Index())
        {
            // The names are sorted; the addresses need not be.
            var ordinal = count - 1 - (uint)i;
            Put(functions + (ordinal * 4), rva);
            Put(names + ((uint)i * 4), text);
            BinaryPrimitives.WriteUInt16LittleEndian(_bytes.AsSpan((int)(ordinals + (i * 2))), (ushort)ordinal);
            Encoding.ASCII.GetBytes(export, _bytes.AsSpan((int)text));
            text += (uint)export.Length + 1;
        }
    }

    private void Put(uint at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_bytes.AsSpan((int)at), value);
}

/// <summary>Unwind codes by name.</summary>
internal static class Unwind
{
    public static byte[] Push(int offset, int register) => Code(offset, 0, register);

    public static byte[] AllocateSmall(int offset, int size) => Code(offset, 2, (size / 8) - 1);

    public static byte[] Allocate(int offset, int size) => [.. Code(offset, 1, 0), .. Word(size / 8)];

    public static byte[] AllocateFar(int offset, int size) => [.. Code(offset, 1, 1), .. Word(size), .. Word(size >> 16)];

    public static byte[] SetFramePointer(int offset) => Code(offset, 3, 0);

    public static byte[] Save(int offset, int register, int at) => [.. Code(offset, 4, register), .. Word(at / 8)];

    public static byte[] SaveFar(int offset, int register, int at) => [.. Code(offset, 5, register), .. Word(at), .. Word(at >> 16)];

    public static byte[] SaveXmm(int offset, int register, int at) => [.. Code(offset, 8, register), .. Word(at / 16)];

    public static byte[] SaveXmmFar(int offset, int register, int at) => [.. Code(offset, 9, register), .. Word(at), .. Word(at >> 16)];

    public static byte[] MachineFrame(int offset, bool errorCode) => Code(offset, 10, errorCode ? 1 : 0);

    public static byte[] Epilogue(int sizeOrOffset, int flagsOrHigh) => Code(sizeOrOffset, 6, flagsOrHigh);

    public static byte[] Of(params byte[][] codes) => [.. codes.SelectMany(code => code)];

    private static byte[] Code(int offset, int operation, int operand) => [(byte)offset, (byte)(operation | (operand << 4))];

    private static byte[] Word(int value) => [(byte)value, (byte)(value >> 8)];
}
