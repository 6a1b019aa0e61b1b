using Core.Tests.Diagnosis;
using Core.Tests.Dumps;
using Core.Tests.Symbols;
using FluentAssertions;
using Harness.Cli;
using Harness.Core.Nt;
using Xunit;

namespace Scenarios.Tests.Cli;

/// <summary><c>diagnose --symbols</c> and _NT_SYMBOL_PATH.</summary>
public sealed class SymbolsTests : IDisposable
{
    private static readonly PdbIdentity Pdb = Pdbs.Identity(Pdbs.Kernel);

    private readonly Scratch _scratch = new();
    private readonly string _dump;
    private readonly string _store;

    public SymbolsTests()
    {
        var scene = new DumpScene(exportsAll: false);
        scene.Kernel.LinkedWith(FakeKernel.KernelBase, Pdb);
        _dump = _scratch.File("MEMORY.DMP", scene.Dump().Bitmap(6));
        _store = _scratch["store"];
        Pdbs.Store(_store, Pdbs.Kernel);
    }

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void A_store_makes_certain_what_was_inferred_and_is_told()
    {
        var without = CommandRun.Of("diagnose", _dump);
        without.Out.Should().Contain("LIKELY ZOMBIE").And.Contain("inferred").And.NotContain("symbols  ");

        foreach (var run in (CommandRun[])[CommandRun.Of("diagnose", _dump, "--symbols", _store), CommandRun.Of("diagnose", _dump, "--symbols", $"srv*{_store}"), CommandRun.WithSymbolPath($"srv*{_store}", "diagnose", _dump)])
        {
            run.Code.Should().Be(ExitCode.Fail);
            run.Out.Should().Contain($"symbols        {Pdb}\n").And.Contain("\nZOMBIE").And.Contain("yes  nt!IopCancelAlertedRequest is on its stack").And.NotContain("LIKELY");
        }
    }

    [Fact]
    public void The_PDB_itself_can_be_given()
    {
        var file = _scratch.File("nt.pdb", Pdbs.Bytes(Pdbs.Kernel));
        CommandRun.Of("diagnose", _dump, "--symbols", file, "--kd").Out.Should().Contain("nt!IopSynchronousServiceTail+0x20");
    }

    [Fact]
    public void Json_names_the_PDBs_that_were_used()
    {
        CommandRun.Of("diagnose", _dump, "--format", "json").Out.Should().Contain("\"symbols\":[]").And.Contain("\"likelyZombie\"");
        CommandRun.Of("diagnose", _dump, "--format", "json", "--symbols", _store).Out.Should().Contain($"\"symbols\":[\"{Pdb}\"]").And.Contain("\"standing\":\"zombie\"");
    }

    [Fact]
    public void What_is_said_goes_before_the_environment()
    {
        var run = CommandRun.WithSymbolPath(_store, "diagnose", _dump, "--symbols", _scratch.Folder);
        string.Join(' ', run.Out.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)).Should().Contain("LIKELY ZOMBIE").And.Contain($"note symbols: the kernel's PDB, {Pdb}, was not found");
    }

    [Fact]
    public void A_PDB_of_another_build_is_a_note_and_the_diagnosis_goes_on()
    {
        var other = _scratch.File("ntkrnlmp.pdb", Pdbs.Bytes(Pdbs.MovedKernel));
        var run = CommandRun.Of("diagnose", _dump, "--symbols", other);
        run.Code.Should().Be(ExitCode.Fail);
        run.Out.ReplaceLineEndings(" ").Should().Contain("LIKELY ZOMBIE").And.Contain("is of another build and was not").And.NotContain("symbols        ntkrnlmp");
    }

    [Fact]
    public void An_unknown_build_says_which_PDB_would_help_and_it_does()
    {
        using var moved = Pdbs.Open(Pdbs.MovedKernel);
        var scene = new DumpScene(28000, exportsAll: false, NtLayout.FromSymbols(28000, moved, out _));
        var pdb = Pdbs.Identity(Pdbs.MovedKernel);
        scene.Kernel.LinkedWith(FakeKernel.KernelBase, pdb);
        var dump = _scratch.File("new.dmp", scene.Dump().Full());

        var without = CommandRun.Of("diagnose", dump);
        without.Code.Should().Be(ExitCode.Unusable);
        without.Error.Should().StartWith($"driverfault: diagnose: {dump} is of an unknown Windows: NT build 28000 is not in the layout table").And.EndWith($"its kernel's PDB, {pdb}, would help (--symbols)\n");
        var wrong = CommandRun.Of("diagnose", dump, "--symbols", _scratch.File("ntkrnlmp.pdb", Pdbs.Bytes(Pdbs.Kernel)));
        wrong.Error.TrimEnd('\n').Should().NotContain("\n").And.Subject.Should().Contain("is of another build and was not used");

        Pdbs.Store(_store, Pdbs.MovedKernel);
        CommandRun.Of("diagnose", dump, "--symbols", _store).Out.Should().Contain("NT build 28000").And.Contain("\nZOMBIE");
    }

    [Theory]
    [InlineData("nowhere", "--symbols: there is no folder and no file nowhere")]
    [InlineData("", "--symbols: no path is given")]
    public void A_path_that_is_not_there_is_a_line(string path, string says)
    {
        var run = CommandRun.Of("diagnose", _dump, "--symbols", path);
        run.Code.Should().Be(ExitCode.Unusable);
        run.Error.Should().Be($"driverfault: {says}\n");
    }

    [Fact]
    public void An_environment_that_names_nothing_changes_nothing()
    {
        var without = CommandRun.Of("diagnose", _dump);
        CommandRun.WithSymbolPath("", "diagnose", _dump).Should().Be(without);
    }
}
