using System.Globalization;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Harness.Windows;

/// <summary>Lines of source for managed code, from the portable PDBs that lie beside the assemblies or in them.</summary>
internal sealed class SourceLines : IDisposable
{
    private readonly Dictionary<string, MetadataReaderProvider?> _pdbs = [];

    /// <summary>"Caller.cs:49": the line of an instruction; null when there is no PDB or it does not tell.</summary>
    /// <param name="assembly">The assembly's file.</param>
    /// <param name="method">The method's metadata token.</param>
    /// <param name="offset">The offset of the IL instruction.</param>
    public string? Of(string assembly, int method, int offset)
    {
        try
        {
            if (!_pdbs.TryGetValue(assembly, out var provider)) _pdbs[assembly] = provider = Open(assembly);
            if (provider?.GetMetadataReader() is not { } pdb || MetadataTokens.EntityHandle(method) is not { Kind: HandleKind.MethodDefinition } token) return null;
            SequencePoint? found = null;
            foreach (var point in pdb.GetMethodDebugInformation((MethodDefinitionHandle)token).GetSequencePoints())
                if (!point.IsHidden && (found is null || point.Offset <= offset)) found = point;
            return found is not { } at ? null
                : $"{Path.GetFileName(pdb.GetString(pdb.GetDocument(at.Document).Name).Replace('\\', '/'))}:{at.StartLine.ToString(CultureInfo.InvariantCulture)}";
        }
        catch (Exception e) when (e is BadImageFormatException or IOException or UnauthorizedAccessException or ArgumentException)
        {
            return null;
        }
    }

    public void Dispose()
    {
        foreach (var pdb in _pdbs.Values) pdb?.Dispose();
    }

    private static MetadataReaderProvider? Open(string assembly)
    {
        if (!File.Exists(assembly)) return null;
        using var image = new PEReader(File.OpenRead(assembly));
        return image.TryOpenAssociatedPortablePdb(assembly, path => File.Exists(path) ? File.OpenRead(path) : null, out var provider, out _) ? provider : null;
    }
}
