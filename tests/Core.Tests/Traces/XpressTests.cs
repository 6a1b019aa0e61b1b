using System.Text;
using FluentAssertions;
using Harness.Core.Traces;
using Xunit;

namespace Core.Tests.Traces;

public sealed class XpressTests
{
    // The examples of MS-XCA, 3.1.
    [Theory]
    [InlineData("abcdefghijklmnopqrstuvwxyz", 1, "3f000000 6162636465666768696a6b6c6d6e6f707172737475767778797a")]
    [InlineData("abc", 100, "ffffff1f 616263 1700 0f ff 2601")]
    public void What_the_specification_compresses_is_inflated(string text, int times, string compressed)
    {
        var expected = string.Concat(Enumerable.Repeat(text, times));
        var destination = new byte[expected.Length];

        Xpress.Inflate(Convert.FromHexString(compressed.Replace(" ", "", StringComparison.Ordinal)), destination).Should().Be(expected.Length);

        Encoding.ASCII.GetString(destination).Should().Be(expected);
    }

    [Fact]
    public void Lengths_of_every_coding_come_back()
    {
        var chance = new Chance(5);
        foreach (var run in (int[])[1, 2, 3, 9, 10, 11, 24, 25, 26, 27, 278, 279, 280, 281, 5000, 60000])
        {
            byte[] source = [.. Enumerable.Range(0, 40).Select(_ => (byte)chance.Next()), .. Enumerable.Repeat((byte)7, run), .. Enumerable.Range(0, 40).Select(i => (byte)(i % 5)), .. Enumerable.Repeat((byte)9, run)];
            var destination = new byte[source.Length];

            Xpress.Inflate(XpressWriter.Compress(source), destination).Should().Be(source.Length);

            destination.Should().Equal(source);
        }
    }

    [Fact]
    public void A_source_that_is_cut_gives_what_it_holds()
    {
        var source = RealTrace.LxCore.AsSpan(0, 2048).ToArray();
        var compressed = XpressWriter.Compress(source);
        for (var length = 0; length < compressed.Length; length++)
        {
            var destination = new byte[source.Length];

            var written = Xpress.Inflate(compressed.AsSpan(0, length), destination);

            written.Should().BeLessThan(source.Length);
            destination.AsSpan(0, written).SequenceEqual(source.AsSpan(0, written)).Should().BeTrue();
        }
    }

    [Fact]
    public void A_match_before_the_beginning_ends_it() => Xpress.Inflate([0, 0, 0, 0x40, 0x61, 0x08, 0x00], new byte[100]).Should().Be(1);
}
