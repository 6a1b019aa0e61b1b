using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Diagnosis;

/// <summary>Memory that lies in ways nobody thought of: whatever it holds, a look at it ends, soon, and without an exception.</summary>
public class DamagedMemoryTests
{
    /// <summary>A whole look at the sound scene takes some thousand reads; a lie may cost more, but not without bound.</summary>
    private const int MostReads = 400_000;

    /// <summary>Each with one to four damages: some twenty thousand in all.</summary>
    private const int Looks = 2500;

    [Theory]
    [InlineData(14393, 0x9E3779B97F4A7C15)]
    [InlineData(19041, 0xD1B54A32D192ED03)]
    [InlineData(26100, 0x8CB92BA72F3D8DD7)]
    public void No_damage_makes_a_look_throw_or_hang(int build, ulong seed)
    {
        var kernel = Scene(build);
        var pointers = Pointers(kernel);
        var chance = new Chance(seed);
        var sound = Look(kernel.Memory);
        var different = 0;
        for (var i = 0; i < Looks; i++)
        {
            var undo = new List<(KernelAddress At, byte[] Page)>();
            for (var n = chance.Below(4); n >= 0; n--) undo.Add(Damage(kernel.Memory, chance, pointers));
            var before = kernel.Memory.Reads;

            var seen = Look(kernel.Memory);

            (kernel.Memory.Reads - before).Should().BeLessThan(MostReads, "mutation {0} of {1}", i, build);
            if (seen != sound) different++;
            undo.Reverse();
            foreach (var (at, page) in undo) kernel.Memory.Write(at, page);
        }

        Look(kernel.Memory).Should().Be(sound, "every damage was undone");
        different.Should().BeGreaterThan(Looks / 4, "the damage must hit what is read");
    }

    [Fact]
    public void Any_page_may_be_absent()
    {
        var kernel = Scene(19041);
        var sound = Look(kernel.Memory);
        var differs = 0;
        foreach (var page in kernel.Memory.Pages)
        {
            var bytes = (byte[])kernel.Memory.PageAt(page).Clone();
            kernel.Memory.Remove(new KernelAddress(page));
            var view = new KernelView(kernel.Memory);
            var seen = Text(view);
            if (seen != sound)
            {
                differs++;
                view.Notes.Should().NotBeEmpty("page {0:x} is absent, and what is told differs", page);
            }

            kernel.Memory.Write(new KernelAddress(page), bytes);
        }

        differs.Should().BeGreaterThan(10);
    }

    [Fact]
    public void Memory_of_nothing_but_one_value_gives_nothing()
    {
        foreach (var value in new ulong[] { 0, ulong.MaxValue, 0xFFFFA00A_00000000, 0xFFFFA00A_00000040, 0x4141414141414141 })
        {
            var memory = new FakeMemory(19041) { ActiveProcessHead = new(0xFFFFA00A_00000100), LoadedModuleList = new(0xFFFFA00A_00000200) };
            for (var at = 0xFFFFA00A_00000000; at < 0xFFFFA00A_00010000; at += 8) memory.UInt64(new KernelAddress(at), value);
            var view = new KernelView(memory);
            view.Processes().Should().BeEmpty();
            view.ProcessAt(new KernelAddress(0xFFFFA00A_00000400)).Should().BeNull();
            view.Notes.Should().NotBeEmpty();
        }
    }

    [Fact]
    public void A_look_ends_at_its_limit_of_reads_wherever_that_is()
    {
        var kernel = Scene(19041);
        var before = kernel.Memory.Reads;
        _ = Look(kernel.Memory);
        var needed = kernel.Memory.Reads - before;
        for (var limit = 0; limit < needed; limit += 7)
        {
            before = kernel.Memory.Reads;
            var view = new KernelView(kernel.Memory, limit);
            _ = Text(view);
            (kernel.Memory.Reads - before).Should().BeLessThanOrEqualTo(limit);
            view.Notes.Should().Contain(note => note.Contains("limit of reads"));
        }
    }

    private static FakeKernel Scene(int build)
    {
        var kernel = new FakeKernel(build);
        var device = kernel.AddDevice("Sample");
        foreach (var pid in new[] { 412, 500 })
        {
            var process = kernel.AddProcess(pid, $"p{pid}.exe");
            kernel.Terminate(process);
            var file = kernel.AddFile(device, @"\x");
            var hung = kernel.AddThread(process, pid + 4);
            kernel.OnThreadList(hung, kernel.AddIrp(hung, device, file, stackCount: 2, current: 1));
            kernel.OnThreadList(hung, kernel.AddIrp(hung, device, file));
            kernel.Wait(hung, WaitReason.Executive, file + kernel.Layout.FileObject.Event, FakeKernel.Abort);
            var closing = kernel.AddThread(process, pid + 8);
            var agnostic = kernel.AddFile(device);
            kernel.OnFileList(agnostic, kernel.AddIrp(closing, device, agnostic));
            kernel.Wait(closing, WaitReason.DelayExecution, KernelAddress.Null, FakeKernel.Rundown);
            kernel.Memory.Pointer(kernel.Stack(closing, FakeKernel.Rundown)[1] + 0x20, agnostic);
        }

        return kernel;
    }

    private static string Look(FakeMemory memory) => Text(new KernelView(memory));

    private static string Text(KernelView view) => string.Join('\n', view.Processes().SelectMany(DebuggerText.Of));

    /// <summary>Every kernel pointer in the scene: the lies that look most like truth.</summary>
    private static List<ulong> Pointers(FakeKernel kernel) =>
        [.. kernel.Memory.Pages.SelectMany(page => Enumerable.Range(0, 512).Select(i => kernel.Memory.UInt64(new KernelAddress(page + ((ulong)i * 8))))).Where(value => new KernelAddress(value).IsKernel).Distinct()];

    private static (KernelAddress At, byte[] Page) Damage(FakeMemory memory, Chance chance, List<ulong> pointers)
    {
        var pages = memory.Pages;
        var page = pages[chance.Below(pages.Count)];
        var undo = (new KernelAddress(page), (byte[])memory.PageAt(page).Clone());
        var at = new KernelAddress(page + (ulong)(chance.Below(512) * 8));
        // Most of a page is nothing: look for a place that holds something.
        for (var i = 0; i < 64 && memory.UInt64(at) == 0; i++) at = new KernelAddress(page + (ulong)(chance.Below(512) * 8));
        switch (chance.Below(8))
        {
            case 0: memory.Remove(at); break;
            case 1: memory.UInt64(at, 0); break;
            case 2: memory.UInt64(at, ulong.MaxValue >> chance.Below(64)); break;
            case 3: memory.Byte(at + (ulong)chance.Below(8), chance.Below(256)); break;
            case 4: memory.UInt64(at, at.Value); break;
            case 5: memory.UInt64(at, memory.UInt64(at) + (ulong)(chance.Below(64) * 8) - 256); break;
            case 6: memory.UInt64(at, chance.Next()); break;
            default: memory.UInt64(at, pointers[chance.Below(pointers.Count)]); break;
        }

        return undo;
    }
}
