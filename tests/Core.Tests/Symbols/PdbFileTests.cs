using System.Text;
using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Symbols;
using Xunit;

namespace Core.Tests.Symbols;

/// <summary>Names and structures out of PDBs, and what is said of files that are none.</summary>
public class PdbFileTests
{
    [Fact]
    public void The_structures_of_a_kernel_s_PDB_are_those_it_was_made_of()
    {
        using var pdb = Pdbs.Open(Pdbs.Kernel);
        var layout = NtLayout.FromSymbols(19041, pdb, out var lacks)!;
        lacks.Should().BeNull();
        layout.Assumed.Should().BeEmpty();
        layout.IsOfSymbols.Should().BeTrue();
        layout.Should().BeEquivalentTo(NtLayout.ForBuild(19041), options => options.Excluding(of => of.IsOfSymbols));
    }

    [Fact]
    public void Of_a_build_that_is_in_no_table_the_PDB_is_enough()
    {
        using var pdb = Pdbs.Open(Pdbs.MovedKernel);
        var layout = NtLayout.FromSymbols(28000, pdb, out _)!;
        var row = NtLayout.ForBuild(19041);
        layout.Build.Should().Be(28000);
        (layout.EProcess.ActiveProcessLinks - row.EProcess.ActiveProcessLinks).Should().Be(0x40);
        (layout.KThread.WaitReason - row.KThread.WaitReason).Should().Be(0x20);
        layout.KThread.Alertable.Should().Be(row.KThread.Alertable with { Offset = row.KThread.Alertable.Offset + 0x20 });
        layout.Irp.Thread.Should().Be(row.Irp.Thread);
    }

    [Fact]
    public void A_list_of_fields_that_goes_on_in_another_is_read_to_its_end()
    {
        using var pdb = Pdbs.Open(Pdbs.Kernel);
        pdb.Field("_LONG", "member_with_quite_a_long_name_100")!.Value.Offset.Should().Be(0);
        pdb.Field("_LONG", "Last")!.Value.Offset.Should().Be(6400);
        pdb.SizeOf("_LONG").Should().Be(6404);
        pdb.Field("_LONG", "Never").Should().BeNull();
        pdb.Field("_NEVER", "Last").Should().BeNull();
        pdb.Field("_IRP", "Tail.Overlay.Never").Should().BeNull();
        pdb.Field("_IRP", "Tail.Overlay.Thread.Cid").Should().BeNull("a pointer is followed in memory, not here");
    }

    [Fact]
    public void A_PDB_without_structures_tells_what_it_lacks()
    {
        using var pdb = PdbFile.Read(new MemoryStream(new PdbWriter().Section(0x1000, 0x1000).Public(1, 0, "Only").Build()));
        NtLayout.FromSymbols(19041, pdb, out var lacks).Should().BeNull();
        lacks.Should().Be("_KPROCESS.size");
    }

    [Theory]
    [InlineData(0x1000, "KeWaitForSingleObject", 0x1000)]
    [InlineData(0x1120, "IopCancelAlertedRequest", 0x1100)]
    [InlineData(0x11FF, "IopCancelAlertedRequest", 0x1100)]
    [InlineData(0x2010, "KiSwapContext", 0x2000)]
    [InlineData(0xFFF, null, 0)]
    public void An_address_has_the_nearest_name_at_or_below_it(uint rva, string? name, uint begin)
    {
        using var pdb = Pdbs.Open(Pdbs.Kernel);
        pdb.NameOf(rva).Should().Be(name is null ? null : (begin, name));
        if (name is not null) pdb.AddressOf(name).Should().Be(begin);
        pdb.AddressOf("IopCancelAlertedReques").Should().BeNull();
    }

    [Theory]
    [InlineData(0x1004, "Device::Read")]
    [InlineData(0x1010, "DriverEntry")]
    [InlineData(0x1032, "Dispatch")]
    public void A_driver_s_own_PDB_names_static_routines_too(uint rva, string name)
    {
        using var pdb = Pdbs.Open(Pdbs.Driver);
        pdb.NameOf(rva)!.Value.Name.Should().Be(name);
        pdb.AddressOf("Dispatch").Should().BeNull("it is static, and so not public");
    }

    [Theory]
    [InlineData("?Read@Device@@QEAAHH@Z", "Device::Read")]
    [InlineData("?Cancel@Queue@Io@@AEAAXXZ", "Io::Queue::Cancel")]
    [InlineData("?g_devices@@3HA", "g_devices")]
    [InlineData("??0Device@@QEAA@XZ", "??0Device@@QEAA@XZ")]
    [InlineData("?Get@?$List@H@@QEAAHXZ", "?Get@?$List@H@@QEAAHXZ")]
    [InlineData("?Get@0@@", "?Get@0@@")]
    [InlineData("__C_specific_handler", "__C_specific_handler")]
    [InlineData("?", "?")]
    public void A_C_plus_plus_name_is_told_plainly_where_it_is_one(string decorated, string plain)
    {
        using var pdb = PdbFile.Read(new MemoryStream(new PdbWriter().Section(0x1000, 0x1000).Public(1, 4, decorated).Build()));
        pdb.NameOf(0x1004)!.Value.Name.Should().Be(plain);
    }

    [Fact]
    public void Of_several_names_of_one_address_a_function_is_told()
    {
        var writer = new PdbWriter { BlockSize = 512 }.Section(0x1000, 0x1000).Public(1, 0x10, "label", function: false).Public(1, 0x10, "First").Public(1, 0x10, "Second").Public(1, 0x10, "other", function: false);
        using var pdb = PdbFile.Read(new MemoryStream(writer.Build()));
        pdb.NameOf(0x1018).Should().Be((0x1010u, "First"));
    }

    [Fact]
    public void An_image_that_was_rearranged_after_it_was_linked_is_translated()
    {
        var writer = new PdbWriter { Omap = { (0x1000, 0x5000), (0x1100, 0), (0x1200, 0x3000) } }.Section(0x1000, 0x1000)
            .Public(1, 0x10, "Moved").Public(1, 0x110, "LeftOut").Public(1, 0x240, "MovedToo");
        using var pdb = PdbFile.Read(new MemoryStream(writer.Build()));
        pdb.AddressOf("Moved").Should().Be(0x5010);
        pdb.AddressOf("MovedToo").Should().Be(0x3040);
        pdb.AddressOf("LeftOut").Should().BeNull();
        pdb.NameOf(0x5014).Should().Be((0x5010u, "Moved"));
    }

    [Fact]
    public void Symbols_outside_of_the_sections_have_no_address()
    {
        var writer = new PdbWriter().Section(0x1000, 0x1000).Public(0, 0, "Zeroth").Public(2, 0, "Absolute").Public(1, 0x5000, "Behind");
        using var pdb = PdbFile.Read(new MemoryStream(writer.Build()));
        pdb.Publics.Should().Be(0);
        pdb.NameOf(uint.MaxValue).Should().BeNull();
    }

    [Fact]
    public void A_PDB_is_an_image_s_by_its_GUID_and_one_of_its_two_ages()
    {
        using var pdb = PdbFile.Read(new MemoryStream(new PdbWriter { Age = 3, Writings = 5 }.Section(0x1000, 0x1000).Build()));
        pdb.IsOf(new PdbIdentity("any.pdb", PdbWriter.Guid, 3)).Should().BeTrue();
        pdb.IsOf(new PdbIdentity("any.pdb", PdbWriter.Guid, 5)).Should().BeTrue("tools that add sources count it up");
        pdb.IsOf(new PdbIdentity("any.pdb", PdbWriter.Guid, 4)).Should().BeFalse();
        pdb.IsOf(new PdbIdentity("any.pdb", Guid.Empty, 3)).Should().BeFalse();
    }

    [Theory]
    [InlineData("", "is empty")]
    [InlineData("hello", "is no PDB")]
    [InlineData("BSJB", "is a portable PDB of .NET")]
    [InlineData("Microsoft C/C++ program database 2.00\r\n\u001AJG", "is a PDB of Visual C++ 6 or older")]
    [InlineData("Microsoft MSFZ Container\r\n\u001AALD", "is a compressed PDB (MSFZ)")]
    [InlineData("MSCF", "is a cabinet")]
    public void A_file_that_is_none_is_told_by_its_first_bytes(string begin, string says) => Refusal(Encoding.Latin1.GetBytes(begin)).Should().StartWith(says);

    [Theory]
    [InlineData(32, 0u, "is a damaged PDB: its blocks have 0 bytes")]
    [InlineData(32, 4095u, "is a damaged PDB: its blocks have 4095 bytes")]
    [InlineData(32, 0x8000_0000u, "is a damaged PDB: its blocks have 2147483648 bytes")]
    [InlineData(40, uint.MaxValue, "is cut off: it should have 17592186040320 bytes")]
    [InlineData(44, uint.MaxValue, "is a damaged PDB: its directory has 4294967295 bytes")]
    [InlineData(44, 0u, "is a damaged PDB: its directory has 0 bytes")]
    [InlineData(52, uint.MaxValue, "is a damaged PDB: its directory lies outside of it")]
    public void A_damaged_container_says_what_is_wrong(int at, uint value, string says)
    {
        var bytes = Pdbs.Bytes(Pdbs.Driver);
        BitConverter.GetBytes(value).CopyTo(bytes, at);
        Refusal(bytes).Should().StartWith(says);
    }

    [Fact]
    public void A_PDB_without_section_headers_is_refused() =>
        Refusal(new PdbWriter { HasSectionHeaders = false }.Public(1, 0, "Lost").Build()).Should().StartWith("is a PDB without section headers");

    [Fact]
    public void A_file_that_is_cut_off_anywhere_says_so()
    {
        var bytes = Pdbs.Bytes(Pdbs.Driver);
        for (var length = 60; length < bytes.Length; length += 997) Refusal(bytes[..length]).Should().StartWith("is cut off", "{0} of {1} bytes are there", length, bytes.Length);
    }

    private static string Refusal(byte[] bytes)
    {
        var read = () => PdbFile.Read(new MemoryStream(bytes));
        var message = read.Should().Throw<UnusablePdbException>().Which.Message;
        message.Should().NotContain("\n");
        return message;
    }
}
