using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Targets;
using Harness.Emulation.Cpu;
using Harness.Emulation.Image;
using Harness.Emulation.Kernel.Structures;
using Harness.Emulation.Memory;

namespace Harness.Emulation.Kernel;

/// <summary>
/// One emulated computer: memory, processors, the driver under test, the clients of a story. It makes no decision of its own but two,
/// and both from the seed: which processor acts next, and which of several equal threads.
/// </summary>
internal sealed partial class Machine
{
    public const int Build = 19041;

    /// <summary>System time at which every machine starts, in 100 ns units since 1601: 2020-01-01.</summary>
    public const ulong BootTime = 132_223_104_000_000_000;

    /// <summary>A clock tick: 15.625 ms in 100 ns units.</summary>
    public const uint TickLength = 156_250;

    /// <summary>Instructions that one processor executes before another may be chosen.</summary>
    private const uint Slice = 20_000;

    /// <summary>Virtual time that a whole slice takes, in 100 ns units: two instructions a nanosecond.</summary>
    private const ulong SliceTime = 100;

    /// <summary>Instructions that a step of nt counts for.</summary>
    private const uint StepWork = 20;

    /// <summary>Instructions that one thread may execute without waiting, a tenth of a second, before it is taken to loop for ever.</summary>
    private const uint MostWork = 200_000_000;

    private const string SpinLockDeadlock = "spin-lock-deadlock";

    private readonly EvidenceLog _evidence;
    private readonly List<Module> _modules = [];
    private readonly bool _fromSeed;

    /// <summary>Sections of the driver that go after DriverEntry.</summary>
    private IReadOnlyList<ImageSection> _initialization = [];

    /// <summary>The processor whose action goes on; set anew before each.</summary>
    private Processor? _acting;

    public Machine(ulong seed, int processors, EvidenceLog evidence)
    {
        _evidence = evidence;
        _fromSeed = seed != 0;
        Memory = new GuestMemory { Space = NtData.SystemDirectory };
        NtImage.Instance.Map(Memory);
        NtData.Initialize(Memory, seed, processors);
        MapSharedData();
        Processors = [.. Enumerable.Range(0, processors).Select(i => new Processor(this, i))];
        Ob.CreateTypes(this);
        AddModule(NtImage.FileName, "\\SystemRoot\\system32\\" + NtImage.FileName, NtImage.Base, NtImage.SizeOfImage, 0, NtImage.TimeDateStamp);
        StartProcessors();
        Unmodelled = new UnmodelledExports(Memory);
        Clients = new Clients(this);
        KernelMemory = new GuestKernelMemory(this);
    }

    public GuestMemory Memory { get; }

    public IReadOnlyList<Processor> Processors { get; }

    public Clients Clients { get; }

    public UnmodelledExports Unmodelled { get; }

    public GuestKernelMemory KernelMemory { get; }

    /// <summary>The processor that takes the clock interrupt.</summary>
    public Processor ClockProcessor => Processors[0];

    /// <summary>The run is over: the story ended, or the machine can't go on.</summary>
    public bool Finished { get; set; }

    /// <summary>The most instructions that a step executes. With one processor it changes nothing but where a state can be saved.</summary>
    public uint LongestStretch { get; set; } = Slice;

    /// <summary>Called when DriverEntry of the driver under test has returned success.</summary>
    public Action? Ready { get; set; }

    private TimeSpan Now => TimeSpan.FromTicks((long)NtData.InterruptTime(Memory));

    /// <summary>Once the story is over, only what the driver does wrong while its service is stopped is evidence.</summary>
    public void Log(Observation observation, string source = Sources.Emulator)
    {
        if (NtData.StoryIsOver(Memory) && observation is not (DriverFault or BugChecked or DriverUnloaded or DriverNotUnloaded or DebugPrinted)) return;
        _evidence.Add(Now, source, observation);
    }

    /// <summary>Tells what a driver does each time it comes by, and once is enough.</summary>
    public void LogOnce(DriverFault fault)
    {
        if (!_evidence.Observations.OfType<DriverFault>().Any(told => told.Id == fault.Id && told.Detail == fault.Detail)) Log(fault);
    }

    /// <summary>One of <paramref name="count"/> equal choices: the first without a seed, else chance from the state in guest memory (splitmix64).</summary>
    public int Choose(int count)
    {
        if (count <= 1 || !_fromSeed) return 0;
        var state = NtData.Chance(Memory) + 0x9E3779B97F4A7C15;
        NtData.SetChance(Memory, state);
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9;
        state = (state ^ state >> 27) * 0x94D049BB133111EB;
        return (int)((state ^ state >> 31) % (ulong)count);
    }

    // Building.

    private void MapSharedData()
    {
        Memory.Map(AddressMap.SharedUserData, 0x1000, PageAccess.Read);
        Memory.WriteU32(AddressMap.SharedUserData + 0x260, Build);
        Memory.WriteU32(AddressMap.SharedUserData + 0x26C, 10);
        // TickCountMultiplier: milliseconds in a tick, times 2^24.
        Memory.WriteU32(AddressMap.SharedUserData + 0x4, (uint)(((ulong)TickLength << 24) / 10_000));
        AdvanceTo(0);
    }

    private void StartProcessors()
    {
        var idle = Ps.CreateProcess(this, "Idle", 0, NtData.SystemDirectory, listed: false);
        var system = Ps.CreateProcess(this, "System", 4, NtData.SystemDirectory);
        NtData.SetSystem(Memory, system);
        foreach (var p in Processors)
        {
            var control = AddressMap.ProcessorControl + ((ulong)p.Number * 0x10000);
            Memory.Map(control, 0x10000, PageAccess.Read | PageAccess.Write);
            // KPCR: Self +0x18, CurrentPrcb +0x20 (public symbols).
            Memory.WriteU64(control + 0x18, control);
            Memory.WriteU64(control + 0x20, p.Prcb);
            Memory.WriteU32(p.Prcb + 0x24, (uint)p.Number);
            Memory.WriteU64(NtData.ProcessorBlockEntry(p.Number), p.Prcb);
            var thread = Ps.CreateThread(this, idle, system: true, priority: 0);
            thread.UniqueThread = 0;
            Ke.PrepareIdleThread(thread);
            p.IdleThread = thread;
            p.CurrentThread = thread;
            ref var r = ref p.Registers;
            r.GsBase = control;
            r.Rflags = 0x202;
            r.Cr3 = NtData.SystemDirectory;
            p.Irql = Ke.DispatchLevel;
            Ke.Load(p, thread);
        }
    }

    private LoaderEntry AddModule(string name, string path, ulong start, uint size, ulong entry, uint timestamp)
    {
        _modules.Add(new Module(name, start, size));
        var loader = new LoaderEntry(Memory, Ex.Allocate(this, Ex.NonPaged, LoaderEntry.Size, "MmLd"));
        Memory.Fill(loader.Address, LoaderEntry.Size, 0);
        loader.DllBase = start;
        loader.EntryPoint = entry;
        loader.SizeOfImage = size;
        loader.TimeDateStamp = timestamp;
        loader.LoadCount = 1;
        Ob.WriteString(this, loader.FullDllName.Address, path);
        Ob.WriteString(this, loader.BaseDllName.Address, name);
        NtData.Modules(Memory).InsertTail(loader.InLoadOrderLinks);
        return loader;
    }

    /// <summary>Maps a driver and has a system thread call its DriverEntry.</summary>
    /// <exception cref="UnusableDriverException">The file is no driver for this machine.</exception>
    public void LoadDriver(byte[] file, string fileName)
    {
        var image = DriverImage.Parse(file, fileName);
        _initialization = [.. image.Sections.Where(section => section.Discardable && section.Rva % 0x1000 == 0 && section.Name.StartsWith("INIT", StringComparison.Ordinal))];
        var start = NtData.TakeImage(Memory, (image.SizeOfImage + 0xFFFFFul) & ~0xFFFFFul);
        var missing = new SortedSet<string>(StringComparer.Ordinal);
        image.Map(Memory, start, import => Resolve(import, missing));
        var loader = AddModule(fileName, "\\SystemRoot\\System32\\drivers\\" + fileName, start, image.SizeOfImage, start + image.EntryPointRva, image.TimeDateStamp);
        Trace?.ImageLoaded(loader);
        Log(new DriverLoaded(fileName, new(start), image.SizeOfImage));
        if (missing.Count > 0) Log(new ExportsMissing(fileName, [.. missing]));
        var service = Path.GetFileNameWithoutExtension(fileName);
        var driver = Io.CreateDriver(this, service, start, image.SizeOfImage, start + image.EntryPointRva, loader.Address);
        NtData.SetDriverUnderTest(Memory, driver.Address);
        Ps.StartSystemThread(this, NtImage.Instance["IopLoadDriver"], driver.Address);
    }

    /// <summary>An export's address; one that isn't modelled gets an address at which the run says so.</summary>
    private ulong Resolve(ImageImport import, SortedSet<string> missing)
    {
        if (import.Name is { } name && NtImage.Instance.TryFind(name, out var address)) return address;
        var text = import.Name ?? $"{import.Library}!#{import.Ordinal}";
        missing.Add(text);
        return Unmodelled.Import(text);
    }

    public void DriverEntryReturned(DriverObject driver, NtStatus status, IReadOnlyList<string> devices)
    {
        Log(new DriverEntryReturned(ModuleOf(driver.DriverStart), status, devices));
        // Initialization code is used once (learn.microsoft.com, "Making Drivers Pageable"): whoever calls it later finds nothing there.
        foreach (var section in _initialization) Memory.Unmap(driver.DriverStart + section.Rva, section.Size);
        if (status.IsSuccess) Ready?.Invoke();
        else Finished = true;
    }

    private sealed record Module(string Name, ulong Base, uint Size);
}
