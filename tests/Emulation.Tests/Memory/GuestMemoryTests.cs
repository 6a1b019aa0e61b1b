using FluentAssertions;
using Harness.Emulation.Memory;
using Xunit;

namespace Emulation.Tests.Memory;

public class GuestMemoryTests
{
    private const ulong Kernel = 0xFFFF_8000_0010_0000;
    private const ulong User = 0x0000_0000_7FFF_0000;
    private const PageAccess ReadWrite = PageAccess.Read | PageAccess.Write;

    private readonly GuestMemory _memory = new();

    [Fact]
    public void Values_come_back_in_little_endian_order_also_across_a_page_boundary()
    {
        _memory.Map(Kernel, 2 * GuestMemory.PageSize, ReadWrite);

        for (var offset = 4088UL; offset <= 4096; offset++)
        {
            _memory.Fill(Kernel, 2 * GuestMemory.PageSize, 0xEE);
            _memory.WriteU64(Kernel + offset, 0x1122334455667788);
            _memory.ReadU64(Kernel + offset).Should().Be(0x1122334455667788);
            _memory.ReadU32(Kernel + offset).Should().Be(0x55667788);
            _memory.ReadU16(Kernel + offset + 6).Should().Be(0x1122);
            _memory.ReadU8(Kernel + offset + 7).Should().Be(0x11);
            _memory.ReadU8(Kernel + offset + 8).Should().Be(0xEE);
            _memory.ReadU8(Kernel + offset - 1).Should().Be(0xEE);
        }
    }

    [Fact]
    public void A_new_page_is_zero_even_when_its_frame_was_used_before()
    {
        _memory.Map(Kernel, GuestMemory.PageSize, ReadWrite);
        _memory.Fill(Kernel, GuestMemory.PageSize, 0xFF);
        _memory.WriteShadow(Kernel, GuestMemory.PageSize, 0x81);
        _memory.Unmap(Kernel, GuestMemory.PageSize);

        _memory.Map(Kernel, GuestMemory.PageSize, ReadWrite);

        var bytes = new byte[GuestMemory.PageSize];
        _memory.Read(Kernel, bytes);
        bytes.Should().OnlyContain(b => b == 0);
        Enumerable.Range(0, GuestMemory.PageSize).Should().OnlyContain(i => _memory.ReadShadow(Kernel + (ulong)i) == 0);
    }

    [Fact]
    public void Mapping_twice_unmapping_nothing_and_protecting_nothing_are_refused_whole()
    {
        _memory.Map(Kernel + GuestMemory.PageSize, GuestMemory.PageSize, ReadWrite);

        var mapOver = () => _memory.Map(Kernel, 2 * GuestMemory.PageSize, ReadWrite);
        var unmapTooMuch = () => _memory.Unmap(Kernel, 2 * GuestMemory.PageSize);
        var protectTooMuch = () => _memory.Protect(Kernel + GuestMemory.PageSize, 2 * GuestMemory.PageSize, PageAccess.Read);

        mapOver.Should().Throw<InvalidOperationException>().WithMessage("*0xffff800000101000*");
        unmapTooMuch.Should().Throw<InvalidOperationException>().WithMessage("*0xffff800000100000*");
        protectTooMuch.Should().Throw<InvalidOperationException>().WithMessage("*0xffff800000102000*");
        _memory.AccessOf(Kernel).Should().Be(PageAccess.None);
        _memory.AccessOf(Kernel + GuestMemory.PageSize).Should().Be(ReadWrite);
    }

    [Fact]
    public void The_kernel_half_is_one_and_every_space_has_its_own_user_half()
    {
        _memory.Space = 0x1AA000;
        _memory.Map(Kernel, GuestMemory.PageSize, ReadWrite);
        _memory.Map(User, GuestMemory.PageSize, ReadWrite | PageAccess.User);
        _memory.WriteU64(Kernel, 1);
        _memory.WriteU64(User, 11);

        _memory.Space = 0x2BB000;
        _memory.ReadU64(Kernel).Should().Be(1);
        _memory.AccessOf(User).Should().Be(PageAccess.None);
        _memory.Map(User, GuestMemory.PageSize, ReadWrite | PageAccess.User);
        _memory.WriteU64(User, 22);

        Span<byte> first = stackalloc byte[8];
        _memory.TryReadIn(0x1AA000, User, first).Should().BeTrue();
        first[0].Should().Be(11);
        _memory.ReadU64(User).Should().Be(22);
        _memory.Space = 0x1AA000;
        _memory.ReadU64(User).Should().Be(11);
        _memory.Pages.Should().Equal(
            new MappedPage(0x1AA000, User, ReadWrite | PageAccess.User, GuestMemory.FirstFrame + 1),
            new MappedPage(0x2BB000, User, ReadWrite | PageAccess.User, GuestMemory.FirstFrame + 2),
            new MappedPage(0, Kernel, ReadWrite, GuestMemory.FirstFrame));
    }

    [Fact]
    public void Addresses_that_are_not_mapped_throw_and_leave_what_was_there()
    {
        _memory.Map(Kernel, GuestMemory.PageSize, ReadWrite);
        var last = Kernel + GuestMemory.PageSize - 4;

        FluentActions.Invoking(() => _memory.WriteU64(last, ulong.MaxValue)).Should().Throw<GuestAccessException>()
            .Which.Address.Should().Be(Kernel + GuestMemory.PageSize);
        FluentActions.Invoking(() => _memory.Fill(last, 5, 1)).Should().Throw<GuestAccessException>();
        FluentActions.Invoking(() => _memory.WriteShadow(last, 5, 1)).Should().Throw<GuestAccessException>();
        FluentActions.Invoking(() => _memory.ReadU8(0)).Should().Throw<GuestAccessException>();
        FluentActions.Invoking(() => _memory.ReadU64(0x8000_0000_0000_0000)).Should().Throw<GuestAccessException>();

        _memory.ReadU32(last).Should().Be(0);
        _memory.ReadShadow(last).Should().Be(0);
        _memory.TryRead(last, new byte[5]).Should().BeFalse();
        _memory.TryRead(last, new byte[4]).Should().BeTrue();
    }

    [Fact]
    public void The_kernel_writes_read_only_pages_and_poisoned_bytes()
    {
        _memory.Map(Kernel, GuestMemory.PageSize, PageAccess.Read);
        _memory.WriteShadow(Kernel, 8, 0xFF);

        _memory.WriteU64(Kernel, 5);

        _memory.ReadU64(Kernel).Should().Be(5);
    }

    [Fact]
    public void Ranges_outside_a_half_of_the_address_space_are_refused()
    {
        FluentActions.Invoking(() => _memory.Map(0x7FFF_FFFF_F000, 2 * GuestMemory.PageSize, ReadWrite)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => _memory.Map(0xFFFF_FFFF_FFFF_F000, 2 * GuestMemory.PageSize, ReadWrite)).Should().Throw<ArgumentOutOfRangeException>();
        FluentActions.Invoking(() => _memory.Map(Kernel + 1, GuestMemory.PageSize, ReadWrite)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => _memory.Map(Kernel, GuestMemory.PageSize, PageAccess.None)).Should().Throw<ArgumentException>();

        _memory.Map(0xFFFF_FFFF_FFFF_F000, 100, ReadWrite);
        _memory.ReadU64(0xFFFF_FFFF_FFFF_FFF8).Should().Be(0);
        FluentActions.Invoking(() => _memory.ReadU64(0xFFFF_FFFF_FFFF_FFF9)).Should().Throw<GuestAccessException>();
    }
}
