using FluentAssertions;
using Harness.Emulation.Memory;
using Xunit;

namespace Emulation.Tests.Memory;

/// <summary>One frame at two addresses: what an MDL's system mapping is.</summary>
public class SharedFrameTests
{
    private const ulong System = 0xFFFF_9D80_0000_0000;
    private const ulong User = 0x1_0000;
    private const PageAccess ReadWrite = PageAccess.Read | PageAccess.Write;

    private readonly GuestMemory _memory = new();

    public SharedFrameTests()
    {
        _memory.Space = 7;
        _memory.Map(User, 2 * GuestMemory.PageSize, ReadWrite | PageAccess.User);
        _memory.MapFrames(System, [_memory.FrameNumberOf(User), _memory.FrameNumberOf(User + GuestMemory.PageSize)], ReadWrite);
    }

    [Fact]
    public void A_store_at_one_address_is_seen_at_the_other_from_any_space()
    {
        _memory.WriteU64(User + 8, 1);
        _memory.Space = 9;
        _memory.ReadU64(System + 8).Should().Be(1);
        _memory.WriteU64(System + 4092, 0x1122334455667788);
        _memory.WriteShadow(System + 16, 1, 0x82);

        _memory.Space = 7;
        _memory.ReadU64(User + 4092).Should().Be(0x1122334455667788);
        _memory.ReadShadow(User + 16).Should().Be(0x82);
    }

    [Fact]
    public void Restoring_undoes_stores_through_either_address()
    {
        _memory.WriteU64(User, 1);
        var first = _memory.Save();
        _memory.WriteU64(User, 2);
        var second = _memory.Save();
        _memory.WriteU64(System, 3);
        _memory.WriteU64(User, 4);

        _memory.Restore(second);
        _memory.ReadU64(User).Should().Be(2);
        _memory.ReadU64(System).Should().Be(2);

        _memory.WriteU64(System, 5);
        _memory.Restore(first);
        _memory.ReadU64(User).Should().Be(1);
        _memory.ReadU64(System).Should().Be(1);
    }

    [Fact]
    public void A_mapping_made_after_a_saved_state_leaves_the_bytes_as_they_were_when_it_is_undone()
    {
        const ulong later = System + 0x10000;
        _memory.WriteU64(User, 1);
        var state = _memory.Save();
        _memory.MapFrames(later, [_memory.FrameNumberOf(User)], ReadWrite);
        _memory.WriteU64(later, 2);
        _memory.ReadU64(User).Should().Be(2);

        _memory.Restore(state);
        _memory.AccessOf(later).Should().Be(PageAccess.None);
        _memory.ReadU64(User).Should().Be(1);
        _memory.ReadU64(System).Should().Be(1);
    }

    [Fact]
    public void A_frame_lives_as_long_as_an_address_shows_it()
    {
        _memory.WriteU64(User, 1);
        _memory.Unmap(User, GuestMemory.PageSize);
        _memory.Map(User + 0x10000, 4 * GuestMemory.PageSize, ReadWrite);
        _memory.Fill(User + 0x10000, 4 * GuestMemory.PageSize, 0xFF);

        _memory.ReadU64(System).Should().Be(1);
        _memory.Unmap(System, GuestMemory.PageSize);
        _memory.AccessOf(System).Should().Be(PageAccess.None);
    }

    [Fact]
    public void A_page_has_one_number_at_every_address_and_two_pages_have_two()
    {
        _memory.FrameNumberOf(System).Should().Be(_memory.FrameNumberOf(User)).And.NotBe(_memory.FrameNumberOf(User + GuestMemory.PageSize));
        _memory.FrameNumberOf(0x5_0000).Should().Be(0);
        var act = () => _memory.MapFrames(System + 0x20000, [12345], ReadWrite);
        act.Should().Throw<InvalidOperationException>();
        _memory.AccessOf(System + 0x20000).Should().Be(PageAccess.None);
    }
}
