using FluentAssertions;
using Harness.Emulation.Memory;
using Xunit;

namespace Emulation.Tests.Memory;

public class SavedStateTests
{
    private const ulong A = 0xFFFF_8000_0010_0000;
    private const ulong B = 0xFFFF_8000_0020_0000;
    private const ulong User = 0x1_0000;
    private const PageAccess ReadWrite = PageAccess.Read | PageAccess.Write;

    private readonly GuestMemory _memory = new();

    public SavedStateTests()
    {
        _memory.Map(A, 2 * GuestMemory.PageSize, ReadWrite);
        _memory.Map(B, GuestMemory.PageSize, ReadWrite);
    }

    [Fact]
    public void Restoring_brings_back_bytes_and_shadow_again_and_again()
    {
        _memory.WriteU64(A, 1);
        _memory.WriteShadow(A + 8, 8, 0x81);
        var state = _memory.Save();

        for (var i = 0; i < 3; i++)
        {
            _memory.WriteU64(A, 99);
            _memory.WriteU64(A + 4092, ulong.MaxValue);
            _memory.WriteShadow(A + 8, 8, 0);
            _memory.Fill(B, GuestMemory.PageSize, 7);

            _memory.Restore(state);

            _memory.ReadU64(A).Should().Be(1);
            _memory.ReadU64(A + 4092).Should().Be(0);
            _memory.ReadShadow(A + 8).Should().Be(0x81);
            _memory.ReadU8(B).Should().Be(0);
        }
    }

    [Fact]
    public void A_forgotten_state_leaves_the_one_before_it_whole()
    {
        _memory.WriteU64(A, 1);
        var first = _memory.Save();
        _memory.WriteU64(A, 2);
        var second = _memory.Save();
        _memory.WriteU64(A, 3);
        _memory.WriteU64(B, 3);
        _memory.Unmap(A + GuestMemory.PageSize, GuestMemory.PageSize);
        _memory.Forget(second);
        _memory.ReadU64(A).Should().Be(3);
        _memory.WriteU64(B, 4);

        _memory.Restore(first);

        _memory.ReadU64(A).Should().Be(1);
        _memory.ReadU64(B).Should().Be(0);
        _memory.AccessOf(A + GuestMemory.PageSize).Should().Be(ReadWrite);
        _memory.Invoking(m => m.Restore(second)).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void Without_any_state_left_nothing_is_kept_back()
    {
        var state = _memory.Save();
        _memory.WriteU64(A, 2);
        _memory.Unmap(B, GuestMemory.PageSize);
        _memory.Forget(state);
        var next = _memory.Save();
        _memory.WriteU64(A, 3);

        _memory.Restore(next);

        _memory.ReadU64(A).Should().Be(2);
        _memory.AccessOf(B).Should().Be(PageAccess.None);
    }

    [Fact]
    public void Only_the_newest_state_can_be_forgotten()
    {
        var first = _memory.Save();
        _memory.Save();

        _memory.Invoking(m => m.Forget(first)).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void States_nest_and_restoring_an_older_one_drops_the_newer()
    {
        _memory.WriteU64(A, 1);
        var first = _memory.Save();
        _memory.WriteU64(A, 2);
        var second = _memory.Save();
        _memory.WriteU64(A, 3);
        var third = _memory.Save();
        _memory.WriteU64(A, 4);
        _memory.WriteU64(B, 4);

        _memory.Restore(third);
        _memory.ReadU64(A).Should().Be(3);
        _memory.WriteU64(A, 5);
        _memory.Restore(second);
        _memory.ReadU64(A).Should().Be(2);
        _memory.WriteU64(A, 6);
        _memory.Restore(first);
        _memory.ReadU64(A).Should().Be(1);
        _memory.ReadU64(B).Should().Be(0);

        FluentActions.Invoking(() => _memory.Restore(second)).Should().Throw<InvalidOperationException>();
        var again = _memory.Save();
        FluentActions.Invoking(() => _memory.Restore(second)).Should().Throw<InvalidOperationException>("a new state at the same depth is another state");
        _memory.WriteU64(A, 7);
        _memory.Restore(again);
        _memory.ReadU64(A).Should().Be(1);
    }

    [Fact]
    public void Mappings_permissions_and_the_current_space_come_back()
    {
        _memory.Space = 0x1000;
        _memory.Map(User, GuestMemory.PageSize, ReadWrite);
        _memory.WriteU64(User, 1);
        var before = _memory.Pages.ToList();
        var state = _memory.Save();

        _memory.WriteU64(User, 2);
        _memory.Unmap(User, GuestMemory.PageSize);
        _memory.Map(User, GuestMemory.PageSize, PageAccess.Read);
        _memory.WriteU64(User, 3);
        _memory.Protect(B, GuestMemory.PageSize, PageAccess.Read);
        _memory.Unmap(A, GuestMemory.PageSize);
        _memory.Space = 0x2000;
        _memory.Map(User, GuestMemory.PageSize, ReadWrite);
        _memory.WriteU64(User, 4);

        _memory.Restore(state);

        _memory.Space.Should().Be(0x1000);
        _memory.Pages.Should().Equal(before);
        _memory.ReadU64(User).Should().Be(1);
        _memory.TryReadIn(0x2000, User, new byte[8]).Should().BeFalse();
    }

    [Fact]
    public void A_page_mapped_after_the_state_is_new_again_after_each_restore()
    {
        const ulong fresh = 0xFFFF_8000_0030_0000;
        var state = _memory.Save();
        for (var i = 0; i < 3; i++)
        {
            _memory.Map(fresh, GuestMemory.PageSize, ReadWrite);
            _memory.ReadU64(fresh).Should().Be(0);
            _memory.WriteU64(fresh, 5);
            var inner = _memory.Save();
            _memory.WriteU64(fresh, 6);
            _memory.Restore(inner);
            _memory.ReadU64(fresh).Should().Be(5);
            _memory.Restore(state);
            _memory.AccessOf(fresh).Should().Be(PageAccess.None);
        }
    }

    [Fact]
    public void A_long_random_history_can_be_undone_to_every_state_on_the_way()
    {
        // A model that keeps whole copies, driven by a fixed pseudo-random sequence.
        ulong seed = 12345;
        ulong Next(ulong below)
        {
            seed = (seed * 6364136223846793005) + 1442695040888963407;
            return (seed >> 33) % below;
        }

        var saved = new Stack<(MemoryState State, byte[] Copy)>();
        for (var step = 0; step < 5000; step++)
        {
            switch (Next(8))
            {
                case 0 when saved.Count < 12:
                    saved.Push((_memory.Save(), Copy()));
                    break;
                case 1 when saved.Count > 0:
                    var pops = Next((ulong)saved.Count);
                    for (var i = 0UL; i < pops; i++) saved.Pop();
                    _memory.Restore(saved.Peek().State);
                    Copy().AsSpan().SequenceEqual(saved.Peek().Copy).Should().BeTrue("step {0} restored a state saved before", step);
                    break;
                case 2:
                    _memory.WriteShadow(A + Next(8192 - 16), Next(16), (byte)Next(256));
                    break;
                default:
                    _memory.WriteU64(A + Next(8192 - 8), seed);
                    break;
            }
        }

        byte[] Copy()
        {
            var bytes = new byte[2 * 8192];
            _memory.Read(A, bytes.AsSpan(0, 8192));
            for (var i = 0; i < 8192; i++) bytes[8192 + i] = _memory.ReadShadow(A + (ulong)i);
            return bytes;
        }
    }
}
