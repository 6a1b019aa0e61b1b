using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Dumps;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Dumps;

/// <summary>The same memory out of every kind of file.</summary>
public class KernelDumpTests
{
    private static readonly PdbIdentity Pdb = new("ntkrnlmp.pdb", Guid.ParseExact("89284D0CA6ACC8274B9A44BD5AF9290B", "N"), 1);

    private readonly DumpScene _scene = new();

    public static TheoryData<string> Kinds => [.. Files.Keys];

    private static Dictionary<string, (Func<DumpScene, byte[]> Write, string Kind)> Files { get; } = new()
    {
        ["complete"] = (scene => scene.Dump().Full(), "complete memory dump"),
        ["complete, five levels"] = (scene => scene.Dump(levels: 5).Full(), "complete memory dump"),
        ["complete, large pages"] = (scene => scene.Dump(largeKernel: true).Full(), "complete memory dump"),
        ["complete, pages in transition"] = (scene => scene.Dump(transition: 2).Full(), "complete memory dump"),
        ["active"] = (scene => scene.Dump().Bitmap(5), "active memory dump (bitmap)"),
        ["kernel"] = (scene => scene.Dump(largeKernel: true, transition: 3).Bitmap(6), "kernel memory dump (bitmap)"),
        ["automatic"] = (scene => scene.Dump(levels: 5).Bitmap(7), "automatic memory dump (bitmap)"),
        [".dump /k"] = (scene => scene.Dump().Ranges(8), "memory dump written by a debugger (ranges)"),
        [".dump /ka"] = (scene => scene.Dump(largeKernel: true).Ranges(9), "memory dump written by a debugger (ranges)"),
        [".dump /f"] = (scene => scene.Dump(transition: 2).Ranges(0xA), "memory dump written by a debugger (ranges)"),
        ["ELF core"] = (scene => ElfOf(scene.Dump()), "ELF core of a machine"),
        ["ELF core, five levels"] = (scene => ElfOf(scene.Dump(levels: 5)), "ELF core of a machine"),
        ["ELF core, CR3 of another table"] = (scene => scene.Dump().Elf(0, 0x5000), "ELF core of a machine"),
        ["raw, with the start stub"] = (scene => scene.Dump(levels: 5).Raw(stub: true), "raw image of physical memory"),
        ["raw, without"] = (scene => scene.Dump(largeKernel: true).Raw(stub: false), "raw image of physical memory"),
    };

    private static Examination Examined(byte[] file)
    {
        using var dump = KernelDump.Read(new FileBytes(file));
        return Examination.Of(dump);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_kind_of_file_shows_the_memory_it_was_made_of(string name)
    {
        var (write, kind) = Files[name];
        using var dump = KernelDump.Read(new FileBytes(write(_scene)));

        dump.Kind.Should().Be(kind);
        dump.Build.Should().Be(19041);
        dump.Notes.Should().BeEmpty();
        dump.ActiveProcessHead.Should().Be(_scene.Kernel.Memory.ActiveProcessHead);
        dump.LoadedModuleList.Should().Be(_scene.Kernel.Memory.LoadedModuleList);
        Text(dump).Should().Be(Text(_scene.Kernel.Memory));
        foreach (var page in _scene.Kernel.Memory.Pages)
        {
            var bytes = new byte[0x1000];
            dump.TryRead(new KernelAddress(page), bytes).Should().BeTrue("{0:x} is in memory", page);
            bytes.Should().Equal(_scene.Kernel.Memory.PageAt(page));
        }
    }

    [Fact]
    public void An_IRP_that_no_list_leads_to_is_found_by_its_pool_tag()
    {
        _scene.Kernel.Memory.ListHead(_scene.Thread + _scene.Kernel.Layout.EThread.IrpList);
        Examination.Of(_scene.Kernel.Memory).Remains.Should().ContainSingle().Which.Standing.Should().Be(Standing.Unclear, "without physical memory there is nothing to search");
        var remains = Examined(_scene.Dump(largeKernel: true, transition: 3).Bitmap(5)).Remains.Should().ContainSingle().Which;
        remains.Standing.Should().Be(Standing.LikelyZombie);
        remains.Zombie!.Stuck.Irp.Should().BeEquivalentTo(new { Address = _scene.Irp, List = "pool", Holder = "sample.sys" });
        remains.Says.Should().EndWith("Not certain: the IRP is on no list and was found by its pool tag: it may be the remains of one.");
    }

    [Theory]
    [InlineData("completed")]
    [InlineData("freed")]
    [InlineData("a copy of one")]
    [InlineData("another thread's")]
    public void What_is_left_of_an_IRP_is_not_taken_for_one(string what)
    {
        var (kernel, memory, layout) = (_scene.Kernel, _scene.Kernel.Memory, _scene.Kernel.Layout);
        memory.ListHead(_scene.Thread + layout.EThread.IrpList);
        if (what == "completed") kernel.SetCurrent(_scene.Irp, 2);
        else if (what == "freed") memory.Byte(_scene.Irp - 0x10 + PoolHeaderLayout.PoolType, 0);
        else if (what == "another thread's")
        {
            memory.Pointer(_scene.Irp + layout.Irp.Thread, _scene.Process);
            memory.Pointer(_scene.Irp + layout.Irp.OriginalFileObject, kernel.AddFile(kernel.AddDevice("Other")));
        }
        else
        {
            var bytes = new byte[0x200];
            memory.TryRead(_scene.Irp, bytes).Should().BeTrue();
            memory.Write(kernel.AllocatePool("Irp ", 0x200), bytes);
            memory.Write(_scene.Irp, new byte[0x100]);
        }

        Examined(_scene.Dump().Full()).Remains.Should().ContainSingle().Which.Should().Match<Remains>(r => r.Standing == Standing.Unclear && r.Process.Threads[0].Irps.Count == 0);
    }

    [Fact]
    public void A_process_that_a_damaged_list_does_not_lead_to_is_found_by_its_pool_tag()
    {
        var (memory, layout) = (_scene.Kernel.Memory, _scene.Kernel.Layout);
        // Both ends of the list break off before the victim.
        memory.UInt64(_scene.Process - layout.ObjectHeader.Body, 0);
        var links = _scene.Process + layout.EProcess.ActiveProcessLinks;
        memory.Unlink(links);
        var system = new KernelAddress(memory.UInt64(memory.ActiveProcessHead));
        memory.Pointer(system, new KernelAddress(0xFFFFA0FF_00000000));
        memory.UInt64(new KernelAddress(memory.UInt64(_scene.ProcessIdTable)) + HandleTableLayout.TableCode, 3);
        var seen = Examined(_scene.Dump().Full());
        seen.Notes.Should().Contain(note => note.Contains("the process list")).And.Contain(note => note.Contains("the table of process IDs is damaged"));
        seen.Zombies.Should().ContainSingle().Which.Process.Should().BeEquivalentTo(new { Pid = DumpScene.Victim, FoundIn = "pool", Listed = false });
    }

    [Theory]
    [InlineData(14393)]
    [InlineData(17763)]
    [InlineData(18362)]
    [InlineData(20348)]
    [InlineData(22000)]
    [InlineData(22631)]
    [InlineData(26100)]
    public void Every_build_of_the_table_is_read(int build)
    {
        var scene = new DumpScene(build);
        using var dump = KernelDump.Read(new FileBytes(scene.Dump().Bitmap(6)));
        dump.Notes.Should().BeEmpty();
        Text(dump).Should().Be(Text(scene.Kernel.Memory)).And.Contain("IopCancelAlertedRequest");
    }

    [Fact]
    public void A_file_on_disk_is_read_as_its_bytes_are()
    {
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            File.WriteAllBytes(path, _scene.Dump().Ranges(0xA));
            using var dump = KernelDump.Open(path);
            Text(dump).Should().Be(Text(_scene.Kernel.Memory));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_dump_of_more_than_four_gigabytes_is_read()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "it would take 5 GiB of disk where a file has no holes");
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            using (var file = File.Create(path)) new FakeDump(_scene.Kernel, spread: 10_000) { DebuggerData = _scene.DebuggerData }.WriteBitmap(file, 5UL << 30);
            using var dump = KernelDump.Open(path);
            dump.PhysicalBytes.Should().Be(5UL << 30);
            Text(dump).Should().Be(Text(_scene.Kernel.Memory));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_page_that_is_paged_out_or_not_in_the_file_is_absent()
    {
        var absent = new KernelAddress(_scene.Kernel.Memory.Pages[0]) - 0x1000;
        using var dump = KernelDump.Read(new FileBytes(_scene.Dump().Full()));
        var bytes = new byte[0x10];
        dump.TryRead(absent, bytes).Should().BeFalse();
        dump.TryRead(absent + 0xFF8, bytes).Should().BeFalse("a byte of it is absent");
        dump.TryRead(new KernelAddress(ulong.MaxValue - 7), bytes).Should().BeFalse();
    }

    [Fact]
    public void A_kernel_minidump_shows_its_thread_and_nothing_more()
    {
        var kernel = _scene.Kernel;
        var needed = kernel.Memory.Pages.Where(page => page >= FakeKernelRange.Low && page < FakeKernelRange.High).Select(page => new KernelAddress(page)).ToArray();
        using var dump = KernelDump.Read(new FileBytes(_scene.Dump().Triage(_scene.Thread, _scene.Process, needed)));

        dump.Kind.Should().Be("kernel minidump (triage)");
        dump.PhysicalBytes.Should().Be(0);
        var thread = new byte[kernel.Layout.EThread.SizeInBytes];
        dump.TryRead(_scene.Thread, thread).Should().BeTrue();
        var view = new KernelView(dump);
        view.Processes().Should().BeEmpty();
        view.Notes.Should().NotBeEmpty();
    }

    [Fact]
    public void An_encoded_debugger_data_block_is_decoded()
    {
        _scene.EncodeDebuggerData(Pdb, name => NtSymbols.OfPdb(Pdb.Key)[name], 0x0123_4567_89AB_CDEF, 0xF0E1_D2C3_B4A5_9687);
        using var dump = KernelDump.Read(new FileBytes(_scene.Dump().Full()));
        dump.Notes.Should().BeEmpty();
    }

    [Fact]
    public void An_encoded_debugger_data_block_that_contradicts_the_table_refuses_the_file()
    {
        _scene.Kernel.Memory.UInt16(_scene.DebuggerData + 0x29C, 0x60);
        _scene.EncodeDebuggerData(Pdb, name => NtSymbols.OfPdb(Pdb.Key)[name], 0x0123_4567_89AB_CDEF, 0xF0E1_D2C3_B4A5_9687);
        Refusal().Should().Contain("KDBG").And.Contain("KTHREAD.KernelStack is at 0x60, not at 0x58");
    }

    [Fact]
    public void A_debugger_data_block_of_an_unknown_kernel_is_a_note()
    {
        _scene.Kernel.Memory.UInt32(_scene.DebuggerData + 0x10, 0x12345678);
        using var dump = KernelDump.Read(new FileBytes(_scene.Dump().Full()));
        dump.Notes.Should().ContainSingle().Which.Should().Contain("is encoded, and the constants of this kernel (PDB unknown) are not known");
    }

    [Fact]
    public void A_layout_that_is_not_this_memorys_refuses_the_file()
    {
        // The memory of one build under the number of another, in all of which the fields lie elsewhere.
        _scene.Kernel.Memory.Build = 22621;
        Refusal().Should().Contain("says it is of NT build 22621, but its structures are laid out otherwise");
        _scene.Kernel.Memory.UInt32(_scene.DebuggerData + 0x10, 0);
        Refusal().Should().Contain("laid out otherwise");
        _scene.Kernel.Memory.Build = 14393;
        Refusal().Should().Contain("laid out otherwise");
    }

    [Fact]
    public void A_bitmap_that_disagrees_with_its_header_is_a_note()
    {
        var file = _scene.Dump().Bitmap(6);
        file[0x2028]++;
        using var dump = KernelDump.Read(new FileBytes(file));
        dump.Notes.Should().ContainSingle().Which.Should().Contain("pages");
    }

    private string Refusal()
    {
        var read = () => KernelDump.Read(new FileBytes(_scene.Dump().Full()));
        return read.Should().Throw<UnusableDumpException>().Which.Message;
    }

    private static byte[] ElfOf(FakeDump dump) => dump.Elf(dump.Root * 0x1000);

    private static string Text(IKernelMemory memory) => string.Join('\n', new KernelView(memory).Processes().SelectMany(DebuggerText.Of));

    /// <summary>The images, without which no frame has a name.</summary>
    private static class FakeKernelRange
    {
        public const ulong Low = 0xFFFFF803_00000000, High = 0xFFFFF804_00000000;
    }
}
