using System.IO.Compression;

namespace Core.Tests.Traces;

/// <summary>The traces of real machines; Data/README.md says whose.</summary>
internal static class RealTrace
{
    public static byte[] Shutdown => Unpacked("ShutdownPerfDiagLogger.etl.gz");

    public static byte[] PrimitiveTypes => Unpacked("primitive-types.etl.gz");

    public static byte[] LxCore => Bytes(Resource("lxcore_kernel.etl"));

    /// <summary>Compressed and merged, with a baseline.</summary>
    public static byte[] Net
    {
        get
        {
            using var zip = new ZipArchive(Resource("net.4.5.2.x64.etl.zip"));
            return Bytes(zip.GetEntry("net.4.5.2.x64.etl")!.Open());
        }
    }

    private static byte[] Unpacked(string name) => Bytes(new GZipStream(Resource(name), CompressionMode.Decompress));

    private static byte[] Bytes(Stream stream)
    {
        using (stream)
        {
            using var bytes = new MemoryStream();
            stream.CopyTo(bytes);
            return bytes.ToArray();
        }
    }

    public static Stream Resource(string name) => typeof(RealTrace).Assembly.GetManifestResourceStream(name) ?? throw new FileNotFoundException(name);
}
