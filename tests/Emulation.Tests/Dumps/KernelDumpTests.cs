using Emulation.Tests.Kernel;
using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Harness.Emulation.Dumps;
using Harness.Emulation.Kernel;
using Harness.Emulation.Memory;
using Xunit;
using static Emulation.Tests.Kernel.KernelRun;

namespace Emulation.Tests.Dumps;

/// <summary>What a dump holds is what the machine's memory holds.</summary>
public sealed class KernelDumpTests
{
    private const ulong Pool = 0xFFFF_8A00_0000_0000, View = 0xFFFF_9D80_0000_0000, User = 0x1_0000, One = 0x1AA000, Other = 0x1AB000;
    private const PageAccess ReadWrite = PageAccess.Read | PageAccess.Write;

    private static readonly ClientProcess[] HungAndKilled = [Client(Open(), Ask(0x222008)), Controller(UntilPending, After(1), Kill, After(60), Look())];

    public static TheoryData<DumpKind> Kinds => [DumpKind.Full, DumpKind.Bitmap];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Every_page_of_every_address_space_is_where_the_page_tables_lead(DumpKind kind)
    {
        var compared = 0;
        Play("myfault", HungAndKilled, (machine, _) => machine.Dump(kind, pieces =>
        {
            var dump = new DumpReader(pieces);
            dump.End.Should().Be(dump.Bytes.Length);
            dump.U64(0xFA0).Should().Be((ulong)dump.Bytes.Length);
            foreach (var page in machine.Memory.Pages)
            {
                var directory = page.Space == 0 ? dump.U64(0x10) : page.Space;
                var entry = dump.Entry(directory, page.Address);
                entry.Should().NotBe(0, $"0x{page.Address:x} is mapped");
                dump.Frame(entry >> 12 & 0xF_FFFF_FFFF).SequenceEqual(Bytes(machine.Memory, page)).Should().BeTrue($"0x{page.Address:x} of space 0x{page.Space:x}");
                ((entry & 2) != 0).Should().Be((page.Access & PageAccess.Write) != 0);
                (entry >> 63 == 0).Should().Be((page.Access & PageAccess.Execute) != 0);
                ((entry & 4) != 0).Should().Be(page.Space != 0);
                compared++;
            }
        }));

        compared.Should().BeGreaterThan(100);
    }

    [Fact]
    public void An_address_space_has_its_own_user_half_and_everybody_s_kernel_half()
    {
        var memory = new GuestMemory { Space = One };
        memory.Map(Pool, GuestMemory.PageSize, ReadWrite);
        memory.Map(User, GuestMemory.PageSize, ReadWrite | PageAccess.User);

        foreach (var dump in Dumps(memory))
        {
            dump.Entry(One, User).Should().NotBe(0);
            dump.Entry(Other, User).Should().Be(0);
            dump.Entry(Other, Pool).Should().Be(dump.Entry(One, Pool)).And.NotBe(0ul);
            dump.Entry(One, Pool + GuestMemory.PageSize).Should().Be(0);
        }
    }

    [Fact]
    public void A_frame_that_two_pages_show_is_in_the_dump_once()
    {
        var memory = new GuestMemory { Space = One };
        memory.Map(User, GuestMemory.PageSize, ReadWrite | PageAccess.User);
        memory.WriteU64(User + 8, 0x1122_3344);
        memory.MapFrames(View, [memory.FrameNumberOf(User)], ReadWrite);
        memory.Unmap(User, GuestMemory.PageSize);

        foreach (var dump in Dumps(memory))
        {
            var frame = dump.Entry(One, View) >> 12 & 0xF_FFFF_FFFF;
            frame.Should().Be(GuestMemory.FirstFrame, "a frame keeps its number while any page shows it");
            dump.Frame(frame)[8].Should().Be(0x44);
            dump.Entry(One, User).Should().Be(0);
        }
    }

    [Fact]
    public void However_many_holes_memory_has_its_runs_fit_into_the_header()
    {
        var memory = new GuestMemory { Space = One };
        for (var i = 0ul; i < 400; i++)
        {
            memory.Map(Pool + (i * 0x1000), GuestMemory.PageSize, ReadWrite);
            memory.WriteU64(Pool + (i * 0x1000), i);
        }
        for (var i = 0ul; i < 400; i++)
            if (i % 4 == 1 || (i is >= 200 and < 250)) memory.Unmap(Pool + (i * 0x1000), GuestMemory.PageSize);

        var full = Dumps(memory)[0];
        var bitmap = Dumps(memory)[1];

        full.Runs.Should().HaveCount(42);
        full.Frames.Should().Contain(bitmap.Frames).And.NotContain(GuestMemory.FirstFrame + 225, "the widest hole is left out");
        foreach (var frame in full.Frames.Except(bitmap.Frames)) full.Frame(frame).IndexOfAnyExcept((byte)0).Should().Be(-1, "free memory is zeros");
        foreach (var frame in bitmap.Frames) full.Frame(frame).SequenceEqual(bitmap.Frame(frame)).Should().BeTrue();
        for (var i = 0ul; i < 400; i++)
            if (memory.AccessOf(Pool + (i * 0x1000)) != PageAccess.None) bitmap.Frame(bitmap.Entry(One, Pool + (i * 0x1000)) >> 12 & 0xF_FFFF_FFFF)[0].Should().Be((byte)i);
    }

    [Fact]
    public void Frame_numbers_after_a_restored_state_are_those_of_a_run_without_it()
    {
        var memory = new GuestMemory { Space = One };
        memory.Map(Pool, GuestMemory.PageSize, ReadWrite);
        var before = memory.Save();
        memory.Map(Pool + 0x1000, 0x3000, ReadWrite);
        memory.Unmap(Pool, GuestMemory.PageSize);
        memory.Restore(before);
        memory.Map(View, GuestMemory.PageSize, ReadWrite);

        memory.FrameNumberOf(Pool).Should().Be(GuestMemory.FirstFrame);
        memory.FrameNumberOf(View).Should().Be(GuestMemory.FirstFrame + 1);
        memory.MapFrames(View + 0x1000, [GuestMemory.FirstFrame], ReadWrite);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_dump_changes_nothing_of_the_machine_and_two_are_the_same_bytes(DumpKind kind) => Play("myfault", HungAndKilled, (machine, _) =>
    {
        var before = machine.Memory.Pages.Select(page => (page, Convert.ToHexString(Bytes(machine.Memory, page)))).ToList();
        var registers = machine.Processors.Select(p => p.State).ToList();
        byte[] once = [], again = [];

        machine.Dump(kind, pieces => once = new DumpReader(pieces).Bytes);
        machine.Dump(kind, pieces => again = new DumpReader(pieces).Bytes);

        again.AsSpan().SequenceEqual(once).Should().BeTrue();
        machine.Memory.Pages.Select(page => (page, Convert.ToHexString(Bytes(machine.Memory, page)))).Should().Equal(before);
        machine.Processors.Select(p => p.State).Should().Equal(registers);
    });

    [Fact]
    public void A_machine_that_a_bug_check_stopped_says_so_and_a_live_one_that_it_is_live()
    {
        var codes = new List<(uint Header, uint Seen, ulong Parameter)>();
        foreach (var (driver, request) in ((string, uint)[])[("cancel-lock-leaked", 0x222000), ("myfault", 0x222008)])
            Play(driver, [Client(Open(), Ask(request)), Controller(UntilPending, Kill, After(2), Look())], (machine, evidence) => machine.Dump(DumpKind.Full, pieces =>
            {
                var dump = new DumpReader(pieces);
                var seen = evidence.Observations.OfType<BugChecked>().SingleOrDefault();
                codes.Add((dump.U32(0x38), seen?.Code ?? 0, dump.U64(0x40) - (seen?.Parameters[0].Value ?? 0)));
                dump.U32(0xF98).Should().Be(1);
                dump.U32(0xC).Should().Be(19041);
            }));

        codes.Should().HaveCount(2);
        codes[0].Seen.Should().NotBe(0);
        codes[0].Header.Should().Be(codes[0].Seen);
        codes[1].Should().Be((0x161u, 0u, 0ul), "LIVE_SYSTEM_DUMP");
        codes[0].Parameter.Should().Be(0);
    }

    private static byte[] Bytes(GuestMemory memory, MappedPage page)
    {
        var bytes = new byte[GuestMemory.PageSize];
        (page.Space == 0 ? memory.TryRead(page.Address, bytes) : memory.TryReadIn(page.Space, page.Address, bytes)).Should().BeTrue();
        return bytes;
    }

    private static DumpReader[] Dumps(GuestMemory memory)
    {
        var header = new DumpHeader
        {
            Build = Machine.Build, Processors = 1, DirectoryTableBase = One, PsLoadedModuleList = 0, PsActiveProcessHead = 0, KdDebuggerDataBlock = 0,
            BugCheckCode = 0, BugCheckParameters = [0, 0, 0, 0], Context = new byte[0x4D0], SystemTime = 0, SystemUpTime = 0,
        };
        return [.. new[] { DumpKind.Full, DumpKind.Bitmap }.Select(kind => new DumpReader(DumpFile.Of(kind, header, new PhysicalMemory(memory, [One, Other]))))];
    }

    private static void Play(string driver, ClientProcess[] processes, Action<Machine, EvidenceLog> look)
    {
        var evidence = new EvidenceLog();
        var machine = EmulatedTarget.Prepare(new Story(processes, Victim, Request, []), Driver(driver), new Conditions(0, 1), evidence);
        var looked = 0;
        machine.Stopping = () =>
        {
            looked++;
            look(machine, evidence);
        };
        machine.Run();
        looked.Should().Be(1);
    }
}
