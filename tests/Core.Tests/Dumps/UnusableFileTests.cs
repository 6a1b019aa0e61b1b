using System.Buffers.Binary;
using System.Text;
using FluentAssertions;
using Harness.Core.Dumps;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Dumps;

/// <summary>What is no readable kernel memory gets one line that says what it is and what would help.</summary>
public class UnusableFileTests
{
    [Theory]
    [InlineData("PAGEDUMP", "is a dump of 32-bit Windows")]
    [InlineData("MDMP", "is a minidump of one process")]
    [InlineData("HIBR", "is a hibernation file")]
    [InlineData("KDUMP   ", "is a kdump-compressed file")]
    [InlineData("PK\x03\x04", "is compressed (zip)")]
    [InlineData("MSCF", "is compressed (cabinet)")]
    [InlineData("MZ", "is a program or a driver")]
    [InlineData("QFI\u00FB", "is a disk (qcow2)")]
    [InlineData("vhdxfile", "is a disk (VHDX)")]
    [InlineData("EMiL", "is a memory image of LiME")]
    [InlineData("\u00D2\u00BE\u00D2\u00BE", "is a saved state of VMware")]
    [InlineData("hello", "is no kind of memory dump that is known")]
    public void A_file_of_another_kind_is_told_by_its_first_bytes(string begin, string says) =>
        Refusal([.. Encoding.Latin1.GetBytes(begin), .. new byte[100]]).Should().StartWith(says);

    [Fact]
    public void Nothing_is_empty() => Refusal([]).Should().Be("is empty, or a pipe or a device");

    [Fact]
    public void Bytes_without_any_order_are_encrypted_or_compressed()
    {
        var chance = new Chance(1);
        var bytes = new byte[0x2000];
        foreach (ref var one in bytes.AsSpan()) one = (byte)chance.Below(256);
        Refusal(bytes).Should().StartWith("is encrypted or compressed");
    }

    [Fact]
    public void A_header_before_bytes_without_any_order_is_an_encrypted_or_compressed_dump()
    {
        var chance = new Chance(1);
        foreach (var file in new[] { new DumpScene().Dump().Full(), new DumpScene().Dump().Bitmap(6) })
        {
            var sound = (byte[])file.Clone();
            foreach (ref var one in file.AsSpan(DumpHeaderLayout.SizeInBytes)) one = (byte)chance.Below(256);
            Refusal(file).Should().StartWith("has the header of a kernel dump, and behind it nothing that looks like memory: it is encrypted or compressed");
            // Damage is not encryption.
            foreach (ref var one in sound.AsSpan(DumpHeaderLayout.SizeInBytes)) one = 0xEE;
            Refusal(sound).Should().StartWith("is damaged");
        }
    }

    [Fact]
    public void A_megabyte_of_anything_else_is_no_memory_of_Windows() => Refusal(new byte[0x20_0000]).Should().StartWith("is no memory of Windows for x64");

    [Theory]
    [InlineData(0x30, 0xAA64, "is a dump of an ARM64 machine")]
    [InlineData(0x30, 0x14C, "is a dump of a machine of type 0x14c")]
    [InlineData(0x0C, 31337, "is of an unknown Windows: NT build 31337 is not in the layout table; it knows 14393")]
    [InlineData(0xF98, 2, "is a summary dump of an old Windows")]
    [InlineData(0xF98, 3, "is a header-only dump")]
    [InlineData(0xF98, 77, "is a dump of the unknown type 77")]
    [InlineData(0xF98, 6, "is damaged: its page bitmap does not begin")]
    [InlineData(0xF98, 9, "is damaged: its ranges do not begin")]
    [InlineData(0x10, 0, "is damaged: its directory table 0x0 does not lead to a process list")]
    [InlineData(0x88, 43, "is damaged: its header tells of 43 runs")]
    [InlineData(0x88, 0x45474150, "is damaged: its header tells of")]
    public void A_header_that_cannot_be_used_says_why(int at, uint value, string says)
    {
        var file = new DumpScene().Dump().Full();
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(at), value);
        if (at == 0x10) BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(at + 4), 0);
        Refusal(file).Should().StartWith(says);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(6)]
    [InlineData(0xA)]
    [InlineData(0x100)]
    public void A_file_that_is_cut_off_anywhere_says_so(uint type)
    {
        var dump = new DumpScene().Dump();
        var file = type switch { 1 => dump.Full(), 6 => dump.Bitmap(6), 0xA => dump.Ranges(0xA), _ => dump.Elf(dump.Root << 12) };
        for (var length = 8; length < file.Length; length += length < 0x3000 ? 61 : 4093)
            Refusal(file[..length]).Should().Contain("is cut off", "{0} of {1} bytes are there", length, file.Length);
    }

    [Fact]
    public void A_core_of_a_process_is_none_of_a_machine()
    {
        var dump = new DumpScene().Dump();
        var file = dump.Elf(dump.Root << 12);
        var note = file.AsSpan().IndexOf("QEMU\0"u8) - 12;
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(note + 8), 3);
        "CORE"u8.CopyTo(file.AsSpan(note + 12));
        Refusal(file).Should().StartWith("is a core of one process");
        BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(note + 8), 1);
        using var machine = KernelDump.Read(new FileBytes(file));
        machine.Kind.Should().Be("ELF core of a machine", "NT_PRSTATUS is of a processor");
    }

    [Fact]
    public void Runs_over_each_other_are_damage()
    {
        var file = new DumpScene().Dump().Full();
        file.AsSpan(0x98, 8).CopyTo(file.AsSpan(0xA8));
        Refusal(file).Should().StartWith("is damaged").And.Contain("twice");
    }

    private static string Refusal(byte[] bytes)
    {
        var read = () => KernelDump.Read(new FileBytes(bytes));
        var message = read.Should().Throw<UnusableDumpException>().Which.Message;
        message.Should().NotContain("\n");
        return message;
    }
}
