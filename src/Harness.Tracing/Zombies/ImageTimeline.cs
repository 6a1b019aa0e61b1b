using System.Text;
using Harness.Core.Nt;
using Microsoft.Diagnostics.Tracing.Parsers;
using Microsoft.Diagnostics.Tracing.Parsers.Kernel;
using Microsoft.Diagnostics.Tracing.Parsers.Symbol;

namespace Harness.Tracing.Zombies;

/// <summary>The kernel's images, and when each was where it was. Rundowns at either end of a session tell of those that were there already.</summary>
internal sealed class ImageTimeline
{
    /// <summary>Of one image; ntoskrnl.exe has some thirty thousand.</summary>
    private const int MostNames = 1 << 17;

    private readonly List<KernelImage> _images = [];
    private readonly HashSet<(ulong Base, PdbIdentity Pdb)> _pdbs = [];

    /// <summary>Of images that the trace itself names, by their bases: the routines' offsets and names.</summary>
    private readonly Dictionary<ulong, SortedList<uint, string>> _names = [];

    public ImageTimeline(EventTrace trace)
    {
        trace.Kernel.ImageLoad += data => Add(data, data.TimeStampRelativeMSec);
        trace.Kernel.ImageDCStart += data => Add(data, double.NegativeInfinity);
        trace.Kernel.ImageDCStop += data => Add(data, double.NegativeInfinity);
        trace.Kernel.ImageUnload += Unload;
        trace.Names.ImageNames += Add;
        new SymbolTraceEventParser(trace.Source).ImageIDDbgID_RSDS += data =>
        {
            if (new KernelAddress(data.ImageBase).IsKernel) _pdbs.Add((data.ImageBase, new PdbIdentity(PdbIdentity.FileName(data.PdbFileName), data.GuidSig, (uint)data.Age)));
        };
    }

    /// <summary>Images whose names the trace has.</summary>
    public IEnumerable<KernelImage> Named => _images.Where(image => _names.ContainsKey(image.Base));

    /// <summary>The routine nearest below an offset in an image, by the names that the trace has of it; null when it has none.</summary>
    public (uint Rva, string Name)? NameIn(KernelImage image, uint rva)
    {
        if (!_names.TryGetValue(image.Base, out var names)) return null;
        var (low, high) = (0, names.Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (names.Keys[middle] <= rva) low = middle + 1;
            else high = middle;
        }

        return low == 0 ? null : (names.Keys[low - 1], names.Values[low - 1]);
    }

    private void Add(ImageNamesTraceData data)
    {
        if (!new KernelAddress(data.ImageBase).IsKernel) return;
        if (!_names.TryGetValue(data.ImageBase, out var names)) _names[data.ImageBase] = names = [];
        foreach (var (rva, name) in data.Names)
            if (names.Count < MostNames) names[rva] = name;
    }

    /// <summary>The image that held an address at this time; null when none is known.</summary>
    public KernelImage? Holding(ulong address, double at)
    {
        KernelImage? other = null;
        foreach (var image in _images)
        {
            if (address - image.Base >= image.Size) continue;
            if (image.From <= at && at <= image.To) return image;
            other = image;
        }

        return other is { To: >= 0 } ? other : null;
    }

    /// <summary>The PDB of an image, as merging a trace adds it; null when the trace doesn't tell, or tells of two.</summary>
    public PdbIdentity? PdbOf(KernelImage image)
    {
        var all = _pdbs.Where(pdb => pdb.Base == image.Base).Select(pdb => pdb.Pdb).ToList();
        return all.Count == 1 ? all[0] : null;
    }

    private void Add(ImageLoadTraceData data, double from)
    {
        if (!new KernelAddress(data.ImageBase).IsKernel || data.ImageSize <= 0) return;
        // A rundown at the end lists what was told before.
        if (_images.Exists(image => image.Base == data.ImageBase && image.Size == (ulong)data.ImageSize && double.IsPositiveInfinity(image.To))) return;
        _images.Add(new KernelImage(FileName(data), data.ImageBase, (ulong)data.ImageSize, (uint)data.TimeDateStamp, from));
    }

    private void Unload(ImageLoadTraceData data)
    {
        // Most are a process's.
        if (!new KernelAddress(data.ImageBase).IsKernel) return;
        foreach (var image in _images)
            if (image.Base == data.ImageBase && double.IsPositiveInfinity(image.To)) image.To = data.TimeStampRelativeMSec;
    }

    /// <summary>The payload's, since TraceEvent's own asks Windows which drive the path would be on: base, size, process, checksum, time stamp, 4 bytes, default base and 16 bytes.</summary>
    private static string FileName(ImageLoadTraceData data)
    {
        var at = (3 * data.PointerSize) + 32;
        var payload = data.EventData();
        if (data.Version < 2 || payload.Length <= at) return "";
        var path = Encoding.Unicode.GetString(payload, at, (payload.Length - at) & ~1);
        if (path.IndexOf('\0') is >= 0 and var end) path = path[..end];
        return path[(path.AsSpan().LastIndexOfAny('/', '\\') + 1)..];
    }
}

/// <summary>An image of the kernel.</summary>
/// <param name="file">"driver.sys".</param>
/// <param name="address">Where it was.</param>
/// <param name="size">SizeOfImage in bytes.</param>
/// <param name="timeDateStamp">Of its PE header.</param>
/// <param name="from">Since when, in milliseconds from the trace's beginning; minus infinity: before it.</param>
internal sealed class KernelImage(string file, ulong address, ulong size, uint timeDateStamp, double from)
{
    /// <summary>The kernel's own names, by which setup chooses one and copies it as the first.</summary>
    private static readonly string[] KernelFiles = ["ntoskrnl.exe", "ntkrnlmp.exe", "ntkrnlpa.exe", "ntkrpamp.exe"];

    public string File { get; } = file;

    public ulong Base { get; } = address;

    public ulong Size { get; } = size;

    public uint TimeDateStamp { get; } = timeDateStamp;

    public double From { get; } = from;

    public double To { get; set; } = double.PositiveInfinity;

    public bool IsKernel { get; } = KernelFiles.Contains(file, StringComparer.OrdinalIgnoreCase);

    /// <summary>As names of code have it: "nt", "hal", "driver.sys".</summary>
    public string Module => IsKernel ? ModuleOffset.Kernel : File.Equals("hal.dll", StringComparison.OrdinalIgnoreCase) ? "hal" : File;
}
