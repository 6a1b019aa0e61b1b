using FluentAssertions;
using Harness.Core.Targets;
using Harness.Emulation.Cpu;
using Harness.Emulation.Image;
using Harness.Emulation.Memory;
using Xunit;

namespace Emulation.Tests.Image;

public class DriverImageTests
{
    private const ulong Base = 0xFFFF_F800_1234_0000;

    private readonly GuestMemory _memory = new();

    [Fact]
    public void The_headers_imports_and_exports_are_read()
    {
        var image = DriverImage.Parse(new HandMadeImage().Bytes, "hand.sys");

        image.SizeOfImage.Should().Be(0x5000);
        image.PreferredBase.Should().Be(HandMadeImage.PreferredBase);
        image.EntryPointRva.Should().Be(0x1000);
        image.TimeDateStamp.Should().Be(0x65432100);
        image.CheckSum.Should().Be(0xABCD);
        image.Imports.Should().Equal(
            new ImageImport("ntoskrnl.exe", "IoCompleteRequest", 7, HandMadeImage.SlotByName),
            new ImageImport("ntoskrnl.exe", null, 17, HandMadeImage.SlotByOrdinal));
        image.Imports[1].ToString().Should().Be("ntoskrnl.exe!#17");
        image.Exports.Should().Equal(
            new ImageExport("DoIt", 5, 0x1000, null),
            new ImageExport(null, 7, 0, "HAL.KeStall"));
        image.Sections.Select(section => section.Name).Should().Equal(".text", ".rdata", ".data", ".reloc");
        image.Sections[3].Discardable.Should().BeTrue();
    }

    [Fact]
    public void Mapping_relocates_binds_and_protects()
    {
        Map(new HandMadeImage());

        _memory.ReadU64(Base + HandMadeImage.Pointer).Should().Be(Base + 0x1000);
        _memory.ReadU32(Base + 0x3020).Should().Be(unchecked(0x4000_3000 + (uint)(Base - HandMadeImage.PreferredBase)), "HIGHLOW adds the low half of the distance");
        _memory.ReadU64(Base + HandMadeImage.SlotByName).Should().Be(0x1111);
        _memory.ReadU64(Base + HandMadeImage.SlotByOrdinal).Should().Be(17);
        _memory.ReadU64(Base + HandMadeImage.Cookie).Should().Be(DriverImage.SecurityCookie);
        _memory.ReadU64(Base + 0x21D8).Should().Be(Base + HandMadeImage.Cookie);
        _memory.ReadU16(Base).Should().Be(0x5A4D);
        _memory.ReadU8(Base + 0x37FF).Should().Be(0);
        _memory.AccessOf(Base).Should().Be(PageAccess.Read);
        _memory.AccessOf(Base + 0x1000).Should().Be(PageAccess.Read | PageAccess.Execute);
        _memory.AccessOf(Base + 0x2000).Should().Be(PageAccess.Read, "the import addresses were bound and are read-only");
        _memory.AccessOf(Base + 0x3000).Should().Be(PageAccess.Read | PageAccess.Write);
        _memory.AccessOf(Base + 0x5000).Should().Be(PageAccess.None);
    }

    [Fact]
    public void Its_code_runs()
    {
        Map(new HandMadeImage());
        var cpu = new Harness.Emulation.Cpu.Cpu(_memory);
        cpu.State.Rip = Base + 0x1000;

        cpu.Run(1).Kind.Should().Be(CpuExitKind.Budget);

        cpu.State.Rax.Should().Be(42);
    }

    [Fact]
    public void A_security_cookie_that_the_driver_set_itself_stays()
    {
        Map(new HandMadeImage().Set64(HandMadeImage.At(HandMadeImage.Cookie), 0x1234));

        _memory.ReadU64(Base + HandMadeImage.Cookie).Should().Be(0x1234);
    }

    [Fact]
    public void Without_a_lookup_table_the_address_table_has_the_names()
    {
        DriverImage.Parse(new HandMadeImage().Set32(HandMadeImage.At(0x2000), 0).Bytes, "hand.sys").Imports.Should().HaveCount(2);
    }

    [Theory]
    [InlineData(HandMadeImage.Machine, 0x14C, "32-bit x86")]
    [InlineData(HandMadeImage.Machine, 0xAA64, "ARM64")]
    [InlineData(HandMadeImage.Subsystem, 3, "not a kernel driver*WindowsCui*/SUBSYSTEM:NATIVE")]
    [InlineData(HandMadeImage.Characteristics, 0x23, "no relocations")]
    [InlineData(HandMadeImage.EntryPoint, 0, "no entry point")]
    [InlineData(HandMadeImage.EntryPoint, 0x3000, "entry point 0x3000 is not in executable code")]
    public void A_file_that_is_no_driver_for_us_says_why(int field, ushort value, string why) =>
        Complaint(new HandMadeImage().Set16(field, value).Bytes).Should().Match($"hand.sys*{why}*");

    [Theory]
    [InlineData(HandMadeImage.SizeOfImage, 0x7000_0000U, "claims 1879048192 bytes")]
    [InlineData(HandMadeImage.SizeOfImage, 0U, "claims 0 bytes")]
    [InlineData(HandMadeImage.SizeOfImage, 0x4100U, "section '.reloc' leaves it")]
    [InlineData(HandMadeImage.SizeOfHeaders, 0x10000U, "cut short: its headers")]
    [InlineData(HandMadeImage.Sections + 12, 0xFFFF_F000U, "section '.text' leaves it")]
    [InlineData(HandMadeImage.Sections + 40 + 12, 0x1000U, "section '.rdata' overlaps")]
    [InlineData(HandMadeImage.Sections + 8, 0xFFFF_FFFFU, "section '.text' leaves it")]
    [InlineData(HandMadeImage.Sections + 20, 0x00FF_FFFFU, "cut short: section '.text'")]
    [InlineData(HandMadeImage.Directories + 8, 0x0000_4FF8U, "import table points outside")]
    [InlineData(HandMadeImage.Directories + 40, 0x0000_4FF8U, "relocation table points outside")]
    [InlineData(HandMadeImage.Directories + 80, 0x0000_4FFEU, "load configuration points outside")]
    public void A_broken_header_is_refused(int field, uint value, string why) =>
        Complaint(new HandMadeImage().Set32(field, value).Bytes).Should().Match($"hand.sys*{why}*");

    [Theory]
    [InlineData(0x200C, 0x7FFF_FFFFU, "import table points outside")]
    [InlineData(0x200C, 0x2400U, "import table has no readable name")]
    [InlineData(0x2010, 0x4FFCU, "import table points outside")]
    [InlineData(0x2060, 0x7FFF_0000U, "import table points outside")]
    [InlineData(0x2114, 0x7FFF_0000U, "export table has more than")]
    [InlineData(0x2118, 0x0000_FFFFU, "export table")]
    [InlineData(0x4004, 0x7FFF_0000U, "relocation table has a block of")]
    [InlineData(0x4004, 3U, "relocation table has a block of 3 bytes")]
    [InlineData(0x4000, 0x9000U, "relocation table points outside")]
    [InlineData(0x4008, 0x5000U, "type 5")]
    [InlineData(0x21D8, 0x0000_0000U, "security cookie outside")]
    public void A_broken_table_is_refused(uint rva, uint value, string why) =>
        Complaint(new HandMadeImage().Set32(HandMadeImage.At(rva), value).Bytes).Should().Match($"hand.sys*{why}*");

    [Fact]
    public void Every_cut_of_the_file_is_refused_with_one_line()
    {
        var whole = new HandMadeImage().Bytes;
        for (var length = 0; length < whole.Length; length += 7)
        {
            var cut = whole[..length];
            Complaint(cut).Should().StartWith("hand.sys ").And.NotContain("\n");
        }
    }

    [Fact]
    public void Random_damage_either_loads_or_is_refused_with_one_line()
    {
        ulong seed = 7;
        for (var round = 0; round < 3000; round++)
        {
            var image = new HandMadeImage();
            for (var i = 0; i < 3; i++)
            {
                seed = (seed * 6364136223846793005) + 1442695040888963407;
                image.Bytes[(int)((seed >> 33) % (ulong)image.Bytes.Length)] = (byte)(seed >> 20);
            }
            try
            {
                var memory = new GuestMemory();
                DriverImage.Parse(image.Bytes, "hand.sys").Map(memory, Base, _ => 0);
            }
            catch (UnusableDriverException e)
            {
                e.Message.Should().StartWith("hand.sys ").And.NotContain("\n");
            }
        }
    }

    private static string Complaint(byte[] file) =>
        FluentActions.Invoking(() => DriverImage.Parse(file, "hand.sys")).Should().Throw<UnusableDriverException>().Which.Message;

    private void Map(HandMadeImage image) =>
        DriverImage.Parse(image.Bytes, "hand.sys").Map(_memory, Base, import => import.Name is null ? import.Ordinal : 0x1111UL);
}
