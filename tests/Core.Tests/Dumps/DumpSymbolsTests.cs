using Core.Tests.Diagnosis;
using Core.Tests.Symbols;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Dumps;
using Harness.Core.Nt;
using Harness.Core.Symbols;
using Xunit;

namespace Core.Tests.Dumps;

/// <summary>What a dump tells with the PDBs of its images, and without.</summary>
public sealed class DumpSymbolsTests : IDisposable
{
    private const int UnknownBuild = 28000;

    private readonly Folder _store = new();
    private readonly SymbolPath _symbols;

    public DumpSymbolsTests()
    {
        Pdbs.Store(_store.Path, Pdbs.Kernel);
        Pdbs.Store(_store.Path, Pdbs.MovedKernel);
        Pdbs.Store(_store.Path, Pdbs.Driver);
        _symbols = SymbolPath.Parse(_store.Path);
    }

    public void Dispose()
    {
        _symbols.Dispose();
        _store.Dispose();
    }

    [Fact]
    public void With_the_kernel_s_PDB_the_function_that_waits_is_seen_and_not_inferred()
    {
        var scene = Scene(Pdbs.Kernel);
        var (without, _) = Look(scene, null);
        without.Standing.Should().Be(Standing.LikelyZombie);
        without.Zombie!.Stuck.Inferred.Should().BeTrue();
        without.Zombie.Stuck.Thread.Stack.Should().Contain(frame => frame.Name == "nt+0x1120");

        var (with, notes) = Look(scene, _symbols);
        with.Standing.Should().Be(Standing.Zombie, with.Says);
        with.Zombie!.Id.Should().Be("zombie-no-cancel-routine");
        with.Zombie.Stuck.Should().BeEquivalentTo(new { Driver = "sample.sys", Inferred = false, Function = "nt!IopCancelAlertedRequest" });
        // Word for word what it is when the image has all names.
        with.Says.Should().Be(Look(new DumpScene(), null).Remains.Says);
        with.Zombie.Stuck.Thread.Stack.Select(frame => frame.Name).Should().Equal(
            "nt!KiSwapContext+0x76", "nt!KeWaitForSingleObject+0x20", "nt!IopCancelAlertedRequest+0x20", "nt!IopSynchronousServiceTail+0x20", "nt!IopXxxControlFile+0x20", "nt!NtDeviceIoControlFile+0x20", "nt!KiSystemServiceCopyEnd+0x25");
        notes.Should().BeEmpty();
        _symbols.Used.Should().Contain(Pdbs.Identity(Pdbs.Kernel));
    }

    [Fact]
    public void A_PDB_of_another_kernel_is_told_and_not_used()
    {
        File.Copy(_store["ntkrnlmp.pdb", Pdbs.Identity(Pdbs.MovedKernel).Key, "ntkrnlmp.pdb"], _store["ntkrnlmp.pdb", Pdbs.Identity(Pdbs.Kernel).Key, "ntkrnlmp.pdb"], overwrite: true);
        var (remains, notes) = Look(Scene(Pdbs.Kernel), _symbols);
        remains.Standing.Should().Be(Standing.LikelyZombie);
        _symbols.Notes.Should().ContainSingle().Which.Should().EndWith($"is of another build and was not used: it is {Pdbs.Identity(Pdbs.MovedKernel).Key}, the image wants {Pdbs.Identity(Pdbs.Kernel).Key}");
        notes.Should().ContainSingle().Which.Should().Be($"symbols: the kernel's PDB, ntkrnlmp.pdb {Pdbs.Identity(Pdbs.Kernel).Key}, was not found");
    }

    [Fact]
    public void A_build_that_is_in_no_table_is_read_with_the_kernel_s_PDB()
    {
        using var moved = Pdbs.Open(Pdbs.MovedKernel);
        var scene = Scene(Pdbs.MovedKernel, UnknownBuild, NtLayout.FromSymbols(UnknownBuild, moved, out _));
        foreach (var file in (byte[][])[scene.Dump().Full(), scene.Dump().Bitmap(6), scene.Dump().Raw(stub: true)])
        {
            Refusal(file, null).Should().Be($"is of an unknown Windows: NT build 28000 is not in the layout table; it knows 14393, 17763, 18362, 19041, 20348, 22000, 22621, 22631, 26100; its kernel's PDB, {Pdbs.Identity(Pdbs.MovedKernel)}, would help (--symbols)");
            using var dump = KernelDump.Read(new FileBytes(file), _symbols);
            dump.Layout.IsOfSymbols.Should().BeTrue();
            Examination.Of(dump).Remains.Should().ContainSingle().Which.Standing.Should().Be(Standing.Zombie);
        }
    }

    [Fact]
    public void A_PDB_without_structures_gives_names_to_the_table_s_layout()
    {
        var bare = new PdbWriter().Section(0x1000, 0x2000).Public(1, 0x100, "IopCancelAlertedRequest").Build();
        var pdb = new PdbIdentity("ntkrnlmp.pdb", PdbWriter.Guid, 3);
        Directory.CreateDirectory(_store["ntkrnlmp.pdb", pdb.Key]);
        File.WriteAllBytes(_store["ntkrnlmp.pdb", pdb.Key, "ntkrnlmp.pdb"], bare);
        var scene = new DumpScene(exportsAll: false);
        scene.Kernel.LinkedWith(FakeKernel.KernelBase, pdb);
        var (remains, notes) = Look(scene, _symbols);
        remains.Standing.Should().Be(Standing.Zombie);
        remains.Zombie!.Stuck.Thread.Stack.Select(frame => frame.Name).Should().Contain("nt!IopCancelAlertedRequest+0x20").And.Contain("nt+0x1220", "the nearest name below is another function's");
        notes.Should().ContainSingle().Which.Should().Be($"symbols: {pdb} does not tell where _KPROCESS.size lies: the layout of build 19041 is the table's");

        scene.Kernel.Memory.Build = UnknownBuild;
        Refusal(scene.Dump().Full(), _symbols).Should().EndWith("its kernel's PDB was found, but does not tell where _KPROCESS.size lies");
    }

    [Fact]
    public void A_PDB_whose_structures_are_not_this_memory_s_refuses_the_file_with_the_field()
    {
        // The image says that it was linked with this PDB, and its memory is another build's.
        var scene = new DumpScene();
        scene.Kernel.LinkedWith(FakeKernel.KernelBase, Pdbs.Identity(Pdbs.MovedKernel));
        Refusal(scene.Dump().Full(), _symbols).Should().Be("does not have the structures that its kernel's PDB tells of: the kernel's debugger data block (KDBG) says that KTHREAD.Teb is at 0xf0, not at 0x110; the PDB or the dump is damaged");
        scene.Kernel.Memory.UInt32(scene.DebuggerData + 0x10, 0);
        Refusal(scene.Dump().Full(), _symbols).Should().Contain("no process object is at EPROCESS.ActiveProcessLinks - 0x488");
        using var without = KernelDump.Read(new FileBytes(scene.Dump().Full()));
        without.Layout.IsOfSymbols.Should().BeFalse("the table's row is right");
    }

    [Fact]
    public void An_encoded_debugger_data_block_is_decoded_by_the_kernel_s_PDB()
    {
        using var pdb = Pdbs.Open(Pdbs.Kernel);
        var scene = new DumpScene();
        scene.EncodeDebuggerData(Pdbs.Identity(Pdbs.Kernel), pdb.AddressOf, 0x0123_4567_89AB_CDEF, 0xF0E1_D2C3_B4A5_9687);
        using var without = KernelDump.Read(new FileBytes(scene.Dump().Full()));
        without.Notes.Should().ContainSingle().Which.Should().Contain("is encoded, and the constants of this kernel");
        using var with = KernelDump.Read(new FileBytes(scene.Dump().Full()), _symbols);
        with.Notes.Should().BeEmpty();
    }

    [Fact]
    public void A_driver_s_own_PDB_names_its_frames_and_the_guilty_driver_stays_its_file()
    {
        var scene = new DumpScene();
        scene.Kernel.LinkedWith(FakeKernel.DriverBase, Pdbs.Identity(Pdbs.Driver), @"D:\build\x64\Release\sample.pdb");
        scene.Kernel.Memory.Symbols = _symbols;
        var modules = scene.Kernel.View().Modules;
        modules.Name(FakeKernel.DriverBase + 0x1032).Should().Be("sample!Dispatch+0x2");
        modules.Name(FakeKernel.DriverBase + 0x1002).Should().Be("sample!Device::Read+0x2");
        modules.FileOf(FakeKernel.DriverBase + 0x1032).Should().Be("sample.sys");
        modules.FileOffset(FakeKernel.DriverBase + 0x1032).Should().Be("sample.sys+0x1032");

        var frames = new[] { Frame("nt!KeWaitForSingleObject+0x20", "nt"), Frame(modules.Name(FakeKernel.DriverBase + 0x1032), "sample.sys"), Frame("nt!NtDeviceIoControlFile+0x20", "nt") };
        var stuck = StuckThread.Look(new ThreadRecord(scene.Thread, 1, ThreadState.Waiting, WaitReason.Executive, ProcessorMode.KernelMode, false, null, frames, []), null);
        stuck.Should().BeEquivalentTo(new { Hold = Hold.BlockedInDispatch, Function = "sample!Dispatch+0x2", Driver = "sample.sys" });
    }

    [Fact]
    public void A_driver_that_calls_itself_nt_is_not_the_kernel()
    {
        var frames = new[] { Frame("nt!KeWaitForSingleObject+0x20", "nt"), Frame("nt!IopCancelAlertedRequest+0x20", "nt.sys") };
        var stuck = StuckThread.Look(new ThreadRecord(new KernelAddress(0xFFFF8000_00000000), 1, ThreadState.Waiting, WaitReason.Executive, ProcessorMode.KernelMode, false, null, frames, []), null);
        stuck.Should().BeEquivalentTo(new { Hold = Hold.BlockedInDispatch, Driver = "nt.sys" });
    }

    private static StackFrame Frame(string name, string module) => new(new KernelAddress(0xFFFF8000_00001000), new KernelAddress(0xFFFF8000_00002000), name, module);

    private static DumpScene Scene(string pdb, int build = 19041, NtLayout? layout = null)
    {
        var scene = new DumpScene(build, exportsAll: false, layout);
        scene.Kernel.LinkedWith(FakeKernel.KernelBase, Pdbs.Identity(pdb));
        return scene;
    }

    private static (Remains Remains, IReadOnlyList<string> Notes) Look(DumpScene scene, SymbolPath? symbols)
    {
        using var dump = KernelDump.Read(new FileBytes(scene.Dump().Full()), symbols);
        var seen = Examination.Of(dump);
        seen.Notes.Should().BeEmpty();
        return (seen.Remains.Should().ContainSingle().Which, dump.Notes);
    }

    private static string Refusal(byte[] file, SymbolPath? symbols)
    {
        var read = () => KernelDump.Read(new FileBytes(file), symbols);
        return read.Should().Throw<UnusableDumpException>().Which.Message;
    }
}
