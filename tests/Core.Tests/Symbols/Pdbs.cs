using Harness.Core.Nt;
using Harness.Core.Symbols;

namespace Core.Tests.Symbols;

/// <summary>The PDBs that lld-link made (Pdbs/build.sh).</summary>
internal static class Pdbs
{
    public const string Kernel = "ntkrnlmp-19041.pdb", MovedKernel = "ntkrnlmp-moved.pdb", Driver = "sample.pdb";

    public static byte[] Bytes(string name)
    {
        using var stream = typeof(Pdbs).Assembly.GetManifestResourceStream(name) ?? throw new InvalidOperationException($"{name} is not in the assembly");
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    public static PdbFile Open(string name) => PdbFile.Read(new MemoryStream(Bytes(name)));

    /// <summary>As an image would have it; the kernel's PDB is always called ntkrnlmp.pdb.</summary>
    public static PdbIdentity Identity(string name)
    {
        using var pdb = Open(name);
        return new PdbIdentity(name.StartsWith("ntkrnlmp", StringComparison.Ordinal) ? "ntkrnlmp.pdb" : name, pdb.Guid, pdb.Age);
    }

    /// <summary>A stream of a sound file, by hand.</summary>
    public static byte[] Stream(string name, int number)
    {
        var file = Bytes(name);
        uint Word(long at) => BitConverter.ToUInt32(file, (int)at);
        var block = Word(32);
        // The directory of a small file is one block.
        var directory = (long)Word((long)Word(52) * block) * block;
        var at = directory + 4 + (Word(directory) * 4);
        for (var i = 0; i < number; i++) at += (Word(directory + 4 + (i * 4)) + block - 1) / block * 4;
        var bytes = new List<byte>();
        for (var left = (int)Word(directory + 4 + (number * 4)); left > 0; left -= (int)block, at += 4)
            bytes.AddRange(file.AsSpan((int)(Word(at) * block), Math.Min(left, (int)block)));
        return [.. bytes];
    }

    /// <summary>Puts one where a store of symbols has it; the path of the file.</summary>
    public static string Store(string folder, string name)
    {
        var pdb = Identity(name);
        var path = Path.Combine(Directory.CreateDirectory(Path.Combine(folder, pdb.Name, pdb.Key)).FullName, pdb.Name);
        File.WriteAllBytes(path, Bytes(name));
        return path;
    }
}

/// <summary>A folder of a test's own, gone when the test is.</summary>
internal sealed class Folder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("driverfault-symbols-").FullName;

    public string this[params string[] path] => System.IO.Path.Combine([Path, .. path]);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
