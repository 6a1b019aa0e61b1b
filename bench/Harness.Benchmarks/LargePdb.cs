using System.Buffers.Binary;
using System.Text;
using Core.Tests.Symbols;
using Harness.Core.Nt;
using Harness.Core.Symbols;

namespace Harness.Benchmarks;

/// <summary>
/// A PDB as large as ntkrnlmp.pdb: 32,000 public symbols, 6 MB of types (4,000 structures) of which the first are nt's structures, and 7 MB that a diagnosis does not
/// ask for. Its blocks lie one before the other, so that hardly two are read at once.
/// </summary>
internal sealed class LargePdb : IDisposable
{
    private const int Symbols = 32_000, Structures = 4_000, Members = 1_400, Unasked = 7_000_000;
    private const ushort Structure = 0x1505, FieldList = 0x1203;

    private readonly string _path = Path.GetTempFileName();

    public LargePdb() => File.WriteAllBytes(_path, Bytes());

    /// <summary>What a diagnosis asks: names of the frames of a stack, and all structures. Gives how many frames have a name.</summary>
    public int Ask()
    {
        using var pdb = PdbFile.Open(_path);
        if (NtLayout.FromSymbols(19041, pdb, out var lacks) is null) throw new InvalidOperationException(lacks + " is not told");
        var named = 0;
        for (uint frame = 0; frame < 12; frame++)
            if (pdb.NameOf(0x1000 + (frame * 0x12345)) is not null) named++;
        return named;
    }

    public void Dispose() => File.Delete(_path);

    /// <summary>Of the large dump's kernel.</summary>
    public static PdbIdentity Identity { get; } = new("ntkrnlmp.pdb", PdbWriter.Guid, 3);

    /// <summary>The file.</summary>
    public static byte[] Bytes()
    {
        var types = new List<byte>(Pdbs.Stream(Pdbs.Kernel, 2));
        Span<byte> head = stackalloc byte[22];
        for (var i = 0; i < Structures; i++)
        {
            var name = Encoding.ASCII.GetBytes($"_STRUCTURE_WITH_A_USUAL_NAME_{i:D6}\0");
            var length = (22 + name.Length + 3) & ~3;
            head.Clear();
            BinaryPrimitives.WriteUInt16LittleEndian(head, (ushort)(length - 2));
            BinaryPrimitives.WriteUInt16LittleEndian(head[2..], Structure);
            head[20] = 64;
            types.AddRange(head);
            types.AddRange(name);
            types.AddRange(new byte[length - 22 - name.Length]);
            types.AddRange(BitConverter.GetBytes((FieldList << 16) | (Members - 2)));
            types.AddRange(new byte[Members - 4]);
        }

        var writer = new PdbWriter { Types = [.. types], Filler = Unasked }.Section(0x1000, 0x90_0000);
        // In the order of a hash, as linkers write them; before them what the large dump's kernel has.
        writer.Public(1, 0x100, "IopCancelAlertedRequest");
        for (uint i = 0; i < Symbols; i++) writer.Public(1, 0x2000 + (uint)((i * 7919UL % Symbols) * 0x100), $"NtSomeRoutineWithAUsualName{i}");
        return writer.Build();
    }
}
