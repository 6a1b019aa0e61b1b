using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Symbols;
using Xunit;

namespace Core.Tests.Symbols;

/// <summary>Where PDBs are looked for, in the grammar of _NT_SYMBOL_PATH.</summary>
public sealed class SymbolPathTests : IDisposable
{
    private static readonly PdbIdentity Driver = Pdbs.Identity(Pdbs.Driver);

    private readonly Folder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string> Elements =>
        ["{0}", "{0}/", "srv*{0}", "SRV*{0}*", "srv**{0}", "srv*{0}-cache*{0}", "symsrv*symsrv.dll*{0}", "SymSrv*symsrv.dll*{0}-cache*{0}", "cache*{0}", " ; {0} ;", "cache*{0}-none;srv*{0}"];

    [Theory]
    [MemberData(nameof(Elements))]
    public void A_store_is_found_by_every_kind_of_element(string element)
    {
        Pdbs.Store(_folder["store"], Pdbs.Driver);
        using var path = SymbolPath.Parse(string.Format(null, element, _folder["store"]));
        path.Find("sample.pdb", Driver.Guid, Driver.Age)!.Guid.Should().Be(Driver.Guid);
        path.Find("sample.pdb", Driver.Guid, Driver.Age + 1).Should().BeNull();
        path.Notes.Should().BeEmpty();
        path.Used.Should().Equal(Driver);
    }

    [Theory]
    [InlineData("{0}-none;{0}", "symbols: there is no folder or file '{0}-none'")]
    [InlineData("ftp://server/symbols;{0}", "symbols: 'ftp://server/symbols' is a server of a kind that is not known; http and https are")]
    public void An_element_that_leads_nowhere_is_told_and_the_others_are_used(string element, string note)
    {
        Pdbs.Store(_folder["store"], Pdbs.Driver);
        using var path = SymbolPath.Parse(string.Format(null, element, _folder["store"]));
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().NotBeNull();
        path.Notes.Should().Equal(string.Format(null, note, _folder["store"]));
    }

    [Fact]
    public void A_part_that_is_damaged_is_missing_and_that_is_told()
    {
        var kernel = Pdbs.Identity(Pdbs.Kernel);
        var file = Pdbs.Bytes(Pdbs.Kernel);
        // The first block of the stream of types, by the directory.
        BitConverter.GetBytes(0xFFFF_FFF0u).CopyTo(file, Pdbs.BlocksOf(file, 2));
        File.WriteAllBytes(_folder["ntkrnlmp.pdb"], file);
        using var path = SymbolPath.Parse(_folder.Path);
        var pdb = path.Find("ntkrnlmp.pdb", kernel.Guid, kernel.Age)!;

        path.Notes.Should().BeEmpty("nobody has asked for a structure yet");
        pdb.SizeOf("_EPROCESS").Should().BeNull();
        pdb.SizeOf("_KTHREAD").Should().BeNull();
        path.Notes.Should().Equal($"symbols: {kernel} is a damaged PDB: block 4294967280 is not in it, so that names or layouts are missing");
    }

    [Fact]
    public void A_store_of_two_tiers_has_the_first_two_letters_first()
    {
        Pdbs.Store(_folder["store", "sa"], Pdbs.Driver);
        using (var before = SymbolPath.Parse(_folder["store"])) before.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        File.WriteAllBytes(_folder["store", "index2.txt"], []);
        using var path = SymbolPath.Parse("srv*" + _folder["store"]);
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().NotBeNull();
    }

    [Theory]
    [InlineData("sample.pdb")]
    [InlineData("symbols/pdb/sample.pdb")]
    public void A_folder_has_it_as_a_linker_or_a_package_of_symbols_leaves_it(string place)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_folder[place])!);
        File.WriteAllBytes(_folder[place], Pdbs.Bytes(Pdbs.Driver));
        using var path = SymbolPath.Parse(_folder.Path);
        path.Find(@"D:\build\sample.pdb", Driver.Guid, Driver.Age).Should().NotBeNull("the path of the machine that built it is cut off");
        path.Find("SAMPLE.PDB", Guid.Empty, 1).Should().BeNull();
    }

    [Fact]
    public void A_single_file_is_found_whatever_it_is_called_and_asked_of_nobody_else()
    {
        File.WriteAllBytes(_folder["renamed.pdb"], Pdbs.Bytes(Pdbs.Driver));
        using var path = SymbolPath.Parse(_folder["renamed.pdb"]);
        path.Find("ntkrnlmp.pdb", Guid.Empty, 1).Should().BeNull();
        path.Notes.Should().BeEmpty("it is another image's");
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().NotBeNull();
        path.Find("renamed.pdb", Guid.Empty, 1).Should().BeNull();
        path.Notes.Should().ContainSingle().Which.Should().EndWith($"renamed.pdb is of another build and was not used: it is {Driver.Key}, the image wants {new PdbIdentity("", Guid.Empty, 1).Key}");
    }

    [Fact]
    public void A_place_with_another_build_does_not_hide_the_right_one()
    {
        var older = new PdbWriter().Section(0x1000, 0x1000).Build();
        Directory.CreateDirectory(_folder["old"]);
        File.WriteAllBytes(_folder["old", "sample.pdb"], older);
        Pdbs.Store(_folder["store"], Pdbs.Driver);
        using var path = SymbolPath.Parse(_folder["old"] + ";" + _folder["store"]);
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().NotBeNull();
        path.Notes.Should().ContainSingle().Which.Should().Contain("is of another build and was not used");
    }

    [Theory]
    [InlineData("..")]
    [InlineData("../sample.pdb/..")]
    [InlineData(@"..\..\..")]
    [InlineData("")]
    [InlineData("C:")]
    [InlineData("sample.pdb:stream")]
    [InlineData("sam*.pdb")]
    [InlineData("s\u0001mple.pdb")]
    [InlineData("sämple.pdb")]
    [InlineData("%2e%2e")]
    [InlineData(".hidden.pdb")]
    [InlineData("nul.pdb")]
    [InlineData("Com1.sample.pdb")]
    [InlineData("LPT9")]
    [InlineData("con .pdb")]
    [InlineData("sample.pdb.")]
    [InlineData("sample.pdb ")]
    public void A_hostile_name_is_nobody_s_file(string name)
    {
        PdbIdentity.FileName(name).Should().BeEmpty();
        Pdbs.Store(_folder.Path, Pdbs.Driver);
        using var path = SymbolPath.Parse(_folder.Path);
        path.Find(name, Driver.Guid, Driver.Age).Should().BeNull();
    }

    [Theory]
    [InlineData("../../etc/passwd", "passwd")]
    [InlineData(@"\\server\share\x.pdb", "x.pdb")]
    [InlineData(@"C:\a b\My Driver-1.0_x64.pdb", "My Driver-1.0_x64.pdb")]
    public void Of_a_path_only_the_file_s_name_is_left(string path, string name) => PdbIdentity.FileName(path).Should().Be(name);

    [Theory]
    [InlineData("sample.pd_")]
    [InlineData("file.ptr")]
    public void What_a_store_keeps_packed_or_elsewhere_is_told(string file)
    {
        var stored = Path.GetDirectoryName(Pdbs.Store(_folder.Path, Pdbs.Driver))!;
        File.Move(Path.Combine(stored, "sample.pdb"), Path.Combine(stored, file));
        using var path = SymbolPath.Parse("srv*" + _folder.Path);
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        path.Notes.Should().ContainSingle().Which.Should().Contain(file + " is not read: unpack it");
    }

    [Theory]
    [InlineData("srv*", "names no store")]
    [InlineData("srv", "names no store")]
    [InlineData("symsrv*symsrv.dll", "names no store")]
    [InlineData("cache*", "names no folder")]
    [InlineData("ftp*x", "is no element of a symbol path that is known")]
    public void An_element_that_says_nothing_is_told(string element, string says)
    {
        using var path = SymbolPath.Parse(element);
        path.Notes.Should().ContainSingle().Which.Should().StartWith($"symbols: '{element}' {says}");
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
    }

    [Fact]
    public void A_file_that_is_no_PDB_is_told_once()
    {
        File.WriteAllText(_folder["sample.pdb"], "<html>");
        using var path = SymbolPath.Parse(_folder.Path);
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        path.Notes.Should().ContainSingle().Which.Should().EndWith("sample.pdb is no PDB");
    }
}
