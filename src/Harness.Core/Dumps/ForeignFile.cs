namespace Harness.Core.Dumps;

/// <summary>Files that people take for a kernel dump, by their first bytes, and what would help.</summary>
internal static class ForeignFile
{
    private static readonly (byte[] Magic, string Is)[] Known =
    [
        ("PAGEDUMP"u8.ToArray(), "is a dump of 32-bit Windows; only x64 is read"),
        ("MDMP"u8.ToArray(), "is a minidump of one process: it holds nothing of the kernel; write a kernel memory dump of the machine"),
        ("HIBR"u8.ToArray(), Hibernation), ("hibr"u8.ToArray(), Hibernation), ("WAKE"u8.ToArray(), Hibernation), ("wake"u8.ToArray(), Hibernation), ("RSTR"u8.ToArray(), Hibernation),
        ("KDUMP   "u8.ToArray(), "is a kdump-compressed file; let QEMU write it without compression (dump-guest-memory without -z, -l or -s)"),
        ("makedumpfile"u8.ToArray(), "is a flattened file of makedumpfile; let QEMU write it without compression"),
        ([0x1F, 0x8B], "is compressed (gzip); unpack it first"),
        ("PK\x03\x04"u8.ToArray(), "is compressed (zip); unpack it first"),
        ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], "is compressed (7z); unpack it first"),
        ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], "is compressed (xz); unpack it first"),
        ([0x28, 0xB5, 0x2F, 0xFD], "is compressed (zstd); unpack it first"),
        ("BZh"u8.ToArray(), "is compressed (bzip2); unpack it first"),
        ("MSCF"u8.ToArray(), "is compressed (cabinet); unpack it first"),
        ("Rar!"u8.ToArray(), "is compressed (rar); unpack it first"),
        // Signatures of the formats' own documentation: QEMU's qcow2, [MS-VHDX], LiME; VMware's as Volatility reads them.
        ([0x51, 0x46, 0x49, 0xFB], "is a disk (qcow2), not memory; 'dump-guest-memory -w' of QEMU's monitor writes the guest's memory"),
        ("vhdxfile"u8.ToArray(), "is a disk (VHDX), not memory; look in the guest for its MEMORY.DMP"),
        ("EMiL"u8.ToArray(), "is a memory image of LiME; write it as format=raw"),
        ([0xD0, 0xBE, 0xD2, 0xBE], VMware), ([0xD1, 0xBA, 0xD1, 0xBA], VMware), ([0xD2, 0xBE, 0xD2, 0xBE], VMware), ([0xD3, 0xBE, 0xD3, 0xBE], VMware),
        ("MZ"u8.ToArray(), "is a program or a driver, not a memory dump; 'run --driver' takes drivers"),
    ];

    private const string VMware = "is a saved state of VMware; the memory itself is in the .vmem file beside it, or vmss2core makes a dump of both";

    private const string Hibernation = "is a hibernation file, whose memory is compressed; write a kernel memory dump";

    /// <summary>Bits of entropy in a byte above which a page is compressed or encrypted, and no memory.</summary>
    private const double Random = 7.8;

    /// <summary>What it is instead; null when its first bytes tell nothing.</summary>
    public static string? Recognize(FileBytes file)
    {
        if (file.Length == 0) return "is empty, or a pipe or a device";
        foreach (var (magic, says) in Known)
        {
            var begin = new byte[magic.Length];
            if (file.TryRead(0, begin) && begin.AsSpan().SequenceEqual(magic)) return says;
        }

        return LooksRandom(file, 0) ? "is encrypted or compressed: nothing in it looks like memory; " + Decrypt : null;
    }

    /// <summary>What a dump is whose header can be read and whose pages cannot be memory; null when they can.</summary>
    public static string? RecognizeBody(FileBytes file)
    {
        const ulong Samples = 8;
        if ((ulong)file.Length < CrashDump.HeaderSize + (Samples * PhysicalMemory.PageSize)) return null;
        var pages = ((ulong)file.Length - CrashDump.HeaderSize) / PhysicalMemory.PageSize;
        for (var i = 0UL; i < Samples; i++)
            if (!LooksRandom(file, CrashDump.HeaderSize + ((pages - 1) * i / (Samples - 1) * PhysicalMemory.PageSize))) return null;
        return "has the header of a kernel dump, and behind it nothing that looks like memory: it is encrypted or compressed; " + Decrypt;
    }

    private const string Decrypt = "a dump of a machine with dump encryption must be decrypted first, with the key of its administrator";

    private static bool LooksRandom(FileBytes file, ulong at)
    {
        var page = new byte[PhysicalMemory.PageSize];
        if (!file.TryRead(at, page)) return false;
        Span<int> counts = stackalloc int[256];
        foreach (var one in page) counts[one]++;
        double entropy = 0;
        foreach (var count in counts)
            if (count > 0) entropy -= (double)count / page.Length * Math.Log2((double)count / page.Length);
        return entropy > Random;
    }
}
