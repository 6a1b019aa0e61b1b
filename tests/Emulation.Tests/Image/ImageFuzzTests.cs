using System.Buffers.Binary;
using System.Globalization;
using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Core.Targets;
using Harness.Emulation.Image;
using Harness.Emulation.Memory;
using Xunit;

namespace Emulation.Tests.Image;

/// <summary>The loader on files that somebody has damaged on purpose: whatever the file, it is mapped or refused in one line, within bounds.</summary>
public sealed partial class ImageFuzzTests
{
    // A long run: this many images, from another seed. CONTRIBUTING.md has the command.
    private const string MoreCases = "DRIVERFAULT_IMAGE_CASES";
    private const string OtherSeed = "DRIVERFAULT_IMAGE_SEED";

    private const ulong Base = 0xFFFF_F800_1234_0000;

    // The largest image, once as laid out and once as guest pages with their shadow, with what keeps account of them, and the largest tables.
    private const long MostMemory = 6L * 64 << 20;

    private static readonly byte[][] Whole = [new HandMadeImage().Bytes, .. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "RealCode"), "*.sys").Order(StringComparer.Ordinal).Select(File.ReadAllBytes)];

    [Fact]
    public void A_damaged_image_is_mapped_or_refused_in_one_line_within_bounded_memory()
    {
        var count = int.Parse(Environment.GetEnvironmentVariable(MoreCases) ?? "20000", CultureInfo.InvariantCulture);
        var seed = ulong.Parse(Environment.GetEnvironmentVariable(OtherSeed) ?? "1", CultureInfo.InvariantCulture);
        var chance = new Chance(seed);
        var reasons = new Dictionary<string, int>();
        var (mapped, most) = (0, 0L);
        for (var number = 0; number < count; number++)
        {
            var file = chance.Damage(Whole[chance.Below(2) == 0 ? 0 : chance.Below(Whole.Length)]);
            var before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                DriverImage.Parse(file, "fuzzed.sys").Map(new GuestMemory(), Base, _ => 0);
                mapped++;
            }
            catch (UnusableDriverException e)
            {
                if (!e.Message.StartsWith("fuzzed.sys ", StringComparison.Ordinal) || e.Message.AsSpan().ContainsAny('\r', '\n')) Assert.Fail($"case {number} of seed {seed}: {e.Message}");
                var kind = Particulars().Replace(e.Message, "#");
                reasons[kind] = reasons.GetValueOrDefault(kind) + 1;
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"case {number} of seed {seed} escaped: {e.Message}", e);
            }

            most = Math.Max(most, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"{count} images: {mapped} mapped, {count - mapped} refused for {reasons.Count} reasons, at most {most >> 20} MiB each");
        most.Should().BeLessThan(MostMemory);
        // Damage that always or never shows would try nothing.
        mapped.Should().BeInRange(count / 20, count * 19 / 20);
        reasons.Count.Should().BeGreaterThan(20, string.Join('\n', reasons.Keys));
    }

    [Fact]
    public void The_largest_image_is_mapped_within_the_same_bounds()
    {
        // .reloc, the last section, goes on to the end of 64 MiB.
        var file = new HandMadeImage().Set32(HandMadeImage.SizeOfImage, 64 << 20).Set32(HandMadeImage.Sections + (3 * 40) + 8, (64 << 20) - 0x4000).Bytes;
        var memory = new GuestMemory();
        var before = GC.GetAllocatedBytesForCurrentThread();

        DriverImage.Parse(file, "large.sys").Map(memory, Base, _ => 0);

        (GC.GetAllocatedBytesForCurrentThread() - before).Should().BeInRange(2L * 64 << 20, MostMemory);
        memory.AccessOf(Base + (64 << 20) - 1).Should().Be(PageAccess.Read);
        memory.AccessOf(Base + (64 << 20)).Should().Be(PageAccess.None);
    }

    // Numbers, and names in quotes.
    [GeneratedRegex("0x[0-9a-f]+|[0-9]+|'[^']*'|[^ ]+![^ ]+|for [^ ]+$")]
    private static partial Regex Particulars();

    /// <summary>Chance from a seed (splitmix64), and what it does to a file.</summary>
    private sealed class Chance(ulong seed)
    {
        // Where counts, sizes and addresses go wrong.
        private static readonly uint[] Edges =
            [0, 1, 2, 3, 4, 7, 8, 0x14, 0x28, 0x7F, 0x80, 0xFF, 0x100, 0x200, 0x3FF, 0x400, 0xFFF, 0x1000, 0x1001, 0x2000, 0x3000, 0x4000, 0x5000, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
             0x0400_0000, 0x0400_0001, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_F000, 0xFFFF_FFF8, 0xFFFF_FFFF];

        private ulong _state = seed;

        public int Below(int bound) => (int)(Next() % (ulong)bound);

        public byte[] Damage(byte[] whole)
        {
            var file = whole.ToArray();
            for (var wounds = 1 + Below(4); wounds > 0; wounds--)
            {
                switch (Below(8))
                {
                    case 0:
                        file = file[..Below(file.Length + 1)];
                        break;
                    case 1:
                        Array.Resize(ref file, file.Length + Below(0x2000));
                        break;
                    case 2 or 3:
                        Put(file, Below(file.Length + 1));
                        break;
                    case 4:
                        Move(file);
                        break;
                    default:
                        // Headers, where most of the decisions are.
                        Put(file, Below(Math.Min(file.Length, 0x400) + 1));
                        break;
                }
            }

            return file;
        }

        private void Put(byte[] file, int offset)
        {
            var value = Below(3) == 0 ? (uint)Next() : Edges[Below(Edges.Length)];
            Span<byte> bytes = stackalloc byte[sizeof(uint)];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
            // Fields are aligned; a wrong byte in the middle of one is another way to be wrong.
            if (Below(4) > 0) offset &= ~3;
            var length = Math.Min(1 << Below(3), file.Length - offset);
            bytes[..length].CopyTo(file.AsSpan(offset));
        }

        // A piece of the file over another: headers in tables, tables that lead to themselves.
        private void Move(byte[] file)
        {
            var length = Math.Min(1 + Below(0x60), file.Length);
            var (from, to) = (Below(file.Length - length + 1), Below(file.Length - length + 1));
            file.AsSpan(from, length).ToArray().CopyTo(file, to);
        }

        private ulong Next()
        {
            _state += 0x9E3779B97F4A7C15;
            var mixed = _state;
            mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
            mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
            return mixed ^ mixed >> 31;
        }
    }
}
