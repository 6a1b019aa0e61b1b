using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Harness.Core.Dumps;

/// <summary>
/// Kernel memory in a file: a Windows kernel dump of any kind, an ELF core of a machine, or a raw image of its physical memory. The file may be
/// damaged or hostile: it is read or refused with a reason, and nothing in it makes that endless.
/// </summary>
public sealed class KernelDump : IPhysicalPages, IDisposable
{
    /// <summary>A raw image smaller than this has no room for a kernel.</summary>
    private const int SmallestImage = 0x10_0000;

    private readonly FileBytes _file;
    private readonly MachineMemory _found;

    private KernelDump(FileBytes file, MachineMemory found, ISymbols? symbols) => (_file, _found, Symbols) = (file, found, symbols);

    /// <summary>Opens a file. What is read of it stays a few pages until somebody looks.</summary>
    /// <exception cref="UnusableDumpException">It is not kernel memory of a build that is known; one line says what it is.</exception>
    /// <exception cref="IOException">It cannot be opened; also <see cref="UnauthorizedAccessException"/>.</exception>
    /// <param name="path">The file.</param>
    /// <param name="symbols">Symbols of its images; null: the table's are all.</param>
    public static KernelDump Open(string path, ISymbols? symbols = null)
    {
        var file = FileBytes.Open(path);
        try
        {
            return Read(file, symbols);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The same from bytes; the dump owns them from then on.</summary>
    /// <exception cref="UnusableDumpException">It is not kernel memory of a build that is known.</exception>
    public static KernelDump Read(FileBytes file, ISymbols? symbols = null)
    {
        try
        {
            var found = CrashDump.Recognizes(file) ? CrashDump.Read(file, symbols)
                : ElfCore.Recognizes(file) ? ElfCore.Read(file, symbols)
                : ForeignFile.Recognize(file) is { } foreign ? throw new UnusableDumpException(foreign)
                : file.Length < SmallestImage ? throw new UnusableDumpException("is no kind of memory dump that is known")
                : KernelSearch.Find(new RunMemory(file, [new MemoryRun(0, (ulong)file.Length & ~0xFFFUL, 0)]), "raw image of physical memory", [], symbols);
            var dump = new KernelDump(file, found, symbols);
            dump.ProcessIdTable = LayoutCheck.Of(dump, found)?.ProcessIdTable ?? KernelAddress.Null;
            return dump;
        }
        catch (UnusableDumpException) when (CrashDump.Recognizes(file) && ForeignFile.RecognizeBody(file) is { } body)
        {
            throw new UnusableDumpException(body);
        }
        catch (UnknownBuildException e)
        {
            throw new UnusableDumpException($"is of an unknown Windows: {e.Message}; a row for it in nt-offsets.json would help");
        }
    }

    /// <summary>"kernel memory dump (bitmap)".</summary>
    public string Kind => _found.Kind;

    public int Build => _found.Build;

    /// <summary>Of the kernel's own PDB where there is one, else the table's.</summary>
    public NtLayout Layout => _found.Layout!;

    public ISymbols? Symbols { get; }

    public KernelAddress ActiveProcessHead => _found.ActiveProcessHead;

    public KernelAddress LoadedModuleList => _found.LoadedModuleList;

    public KernelAddress ProcessIdTable { get; private set; }

    /// <summary>0: the file doesn't tell.</summary>
    public int Processors => _found.Processors;

    /// <summary>The bug check's code, 0x161 for a live dump; null when the file doesn't tell of one.</summary>
    public uint? BugCheck => _found.BugCheck;

    /// <summary>Its four parameters; none when the file doesn't tell of one.</summary>
    public IReadOnlyList<ulong> BugCheckParameters => _found.BugCheckParameters;

    /// <summary>Bytes of physical memory in the file; 0: it holds pieces of virtual memory only, and most of the kernel is not there.</summary>
    public ulong PhysicalBytes => _found.PhysicalBytes;

    /// <summary>What is wrong with the file, although it can be read.</summary>
    public IReadOnlyList<string> Notes => _found.Notes;

    public bool TryRead(KernelAddress address, Span<byte> destination) => _found.Memory.TryRead(address, destination);

    public IEnumerable<ulong> Pages => (_found.Memory as PagedMemory)?.Physical.Pages ?? [];

    public bool TryReadPhysical(ulong physical, Span<byte> destination) => _found.Memory is PagedMemory paged && paged.Physical.TryRead(physical, destination);

    public ulong? PhysicalOf(KernelAddress address) => (_found.Memory as PagedMemory)?.Tables.Translate(address);

    public void Dispose() => _file.Dispose();
}
