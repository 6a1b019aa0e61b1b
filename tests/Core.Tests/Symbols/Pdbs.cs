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
        var (at, block) = (BlocksOf(file, number), BitConverter.ToInt32(file, 32));
        var bytes = new List<byte>();
        for (var left = SizeOf(file, number); left > 0; left -= block, at += 4) bytes.AddRange(file.AsSpan(BitConverter.ToInt32(file, at) * block, Math.Min(left, block)));
        return [.. bytes];
    }

    /// <summary>Where the directory of a file has the numbers of a stream's blocks.</summary>
    public static int BlocksOf(byte[] file, int stream)
    {
        var (directory, block) = (Directory(file), BitConverter.ToInt32(file, 32));
        return directory + 4 + (BitConverter.ToInt32(file, directory) * 4) + Enumerable.Range(0, stream).Sum(i => (SizeOf(file, i) + block - 1) / block * 4);
    }

    // That of a small file is one block.
    private static int Directory(byte[] file) => BitConverter.ToInt32(file, BitConverter.ToInt32(file, 52) * BitConverter.ToInt32(file, 32)) * BitConverter.ToInt32(file, 32);

    private static int SizeOf(byte[] file, int stream) => BitConverter.ToInt32(file, Directory(file) + 4 + (stream * 4));

    /// <summary>Puts one where a store of symbols has it; the path of the file.</summary>
    public static string Store(string folder, string name)
    {
        var pdb = Identity(name);
        var path = Path.Combine(System.IO.Directory.CreateDirectory(Path.Combine(folder, pdb.Name, pdb.Key)).FullName, pdb.Name);
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
