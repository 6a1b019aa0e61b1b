using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Diagnosis;

public class KernelMemoryReaderTests
{
    private static readonly KernelAddress Page = new(0xFFFFA00A_00001000);
    private static readonly KernelAddress Text = Page + 0x800;

    private readonly FakeMemory _memory = new(19041);
    private readonly KernelMemoryReader _reader;

    public KernelMemoryReaderTests()
    {
        _reader = new KernelMemoryReader(_memory);
        _memory.Write(Page, new byte[0x2000]);
    }

    [Fact]
    public void What_is_absent_is_null_and_not_zero()
    {
        _reader.Byte(Page).Should().Be(0);
        _reader.Byte(Page - 1).Should().BeNull();
        _reader.UInt64(Page + 0x1FF9).Should().BeNull("its last byte is on a page that is absent");
        _reader.UInt64(Page + 0x1FF8).Should().Be(0);
    }

    [Theory]
    [InlineData(0ul)]
    [InlineData(0x7FFF_FFFF_F000ul)]
    [InlineData(0xFFFF_7FFF_FFFF_FFF8ul)]
    [InlineData(ulong.MaxValue)]
    public void Pointers_that_cannot_be_the_kernels_are_not_followed(ulong address)
    {
        _reader.UInt64(new KernelAddress(address)).Should().BeNull();
        _memory.Reads.Should().Be(0);
    }

    [Fact]
    public void A_unicode_string_is_bounded_and_fit_for_a_screen()
    {
        _memory.UnicodeString(Page, Text, @"\Device\Sámple");
        _reader.UnicodeString(Page).Should().Be(@"\Device\Sámple");

        _memory.UnicodeString(Page, Text, "a\r\n\u001b[2Jb\uD800c\0");
        _reader.UnicodeString(Page).Should().Be("a???[2Jb?c?");

        _memory.UInt16(Page, 0);
        _reader.UnicodeString(Page).Should().BeEmpty();
        _memory.UInt16(Page, 7);
        _reader.UnicodeString(Page).Should().BeNull("characters have two bytes");
        _memory.UInt16(Page, 0xFFFE);
        _reader.UnicodeString(Page).Should().BeNull("no name is that long");
        _memory.UInt16(Page, 8);
        _memory.UInt64(Page + 8, 0x41414141);
        _reader.UnicodeString(Page).Should().BeNull("its buffer is not there");
    }

    [Fact]
    public void A_short_string_ends_at_zero_at_its_length_or_at_the_end_of_memory()
    {
        _memory.Write(Page + 0x1FFA, "victim"u8);
        _reader.AsciiString(Page + 0x1FFA, 15).Should().Be("victim");
        _reader.AsciiString(Page + 0x1FFA, 3).Should().Be("vic");
        _memory.Byte(Page + 0x1FFC, 0);
        _reader.AsciiString(Page + 0x1FFA, 15).Should().Be("vi");
        _reader.AsciiString(Page + 0x2000, 15).Should().BeNull();
    }

    [Fact]
    public void A_list_is_followed_to_its_head()
    {
        var entries = List(3);
        _reader.List(Page, 10, "the list").Should().BeEquivalentTo(new ListWalk(entries, Whole: true));
        _reader.Notes.Should().BeEmpty();
    }

    [Fact]
    public void A_broken_list_is_read_from_both_ends()
    {
        var entries = List(6);
        foreach (var lie in new ulong[] { 0, 0x1234, Page.Value + 1, 0xFFFFAFFF_00000000 })
        {
            _memory.UInt64(entries[2], lie);
            var walk = new KernelMemoryReader(_memory).List(Page, 10, "the list");
            walk.Whole.Should().BeFalse();
            walk.Entries.Where(entries.Contains).Should().Equal(entries, "Flink of the third was {0:x}", lie);
        }
    }

    [Fact]
    public void A_list_that_runs_in_circles_is_left()
    {
        var entries = List(4);
        _memory.Pointer(entries[3], entries[1]);
        var walk = _reader.List(Page, 10, "the list");
        walk.Whole.Should().BeFalse();
        walk.Entries.Should().Equal(entries);
        _reader.Notes.Should().ContainSingle().Which.Should().StartWith($"the list at {Page}").And.Contain("comes back");
    }

    [Fact]
    public void A_list_longer_than_any_is_cut()
    {
        List(6);
        var walk = _reader.List(Page, 4, "the list");
        walk.Entries.Should().HaveCount(4);
        walk.Whole.Should().BeFalse();
        _reader.Notes.Should().ContainSingle().Which.Should().Contain("more than 4");
    }

    [Fact]
    public void After_the_limit_of_reads_nothing_more_is_read()
    {
        List(6);
        var before = _memory.Reads;
        var reader = new KernelMemoryReader(_memory, readLimit: 3);
        reader.List(Page, 100, "the list").Entries.Should().HaveCountLessThan(4);
        reader.Notes.Should().Contain(note => note.Contains("limit of reads"));
        (_memory.Reads - before).Should().Be(3);
    }

    [Fact]
    public void Notes_are_told_once_and_not_without_end()
    {
        for (var i = 0; i < 1000; i++)
        {
            _reader.Note($"note {i}");
            _reader.Note("note 0");
        }

        _reader.Notes.Should().HaveCountLessThan(300).And.OnlyHaveUniqueItems();
        _reader.Notes[^1].Should().Contain("dropped");
    }

    private List<KernelAddress> List(int count)
    {
        _memory.ListHead(Page);
        var entries = Enumerable.Range(1, count).Select(i => Page + ((ulong)i * 0x20)).ToList();
        foreach (var entry in entries) _memory.Append(Page, entry);
        return entries;
    }
}
