using System.Globalization;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Diagnosis;

/// <summary>
/// Code that real compilers made, stopped before every one of its instructions: Unwinding/step.c ran it on a processor and wrote down the
/// stack and where the calls came from. The unwinder must find exactly these callers, from the memory alone.
/// </summary>
public class UnwindingTraceTests
{
    private const ulong StackTop = 0xFFFFB00B_00008000;

    [Theory]
    [InlineData("frames-gcc-O0")]
    [InlineData("frames-gcc-O2")]
    [InlineData("frames-clang-O0")]
    [InlineData("frames-clang-O2")]
    public void Finds_the_callers_at_every_instruction_of(string program)
    {
        var kernel = new FakeKernel();
        kernel.AddModule("frames.sys", Trace.ImageBase, Trace.Map(Resource(program + ".sys")));
        kernel.Memory.Write(new KernelAddress(StackTop - 0x4000), new byte[0x4000]);
        var view = kernel.View();
        var trace = new Trace(kernel.Memory, StackTop);
        var steps = 0;
        var deepest = 0;
        foreach (var line in new StreamReader(new MemoryStream(Resource(program + ".trace"))).ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            trace.Step(line);
            var stack = view.Stacks.From(trace.Registers, new KernelAddress(StackTop - 0x4000), new KernelAddress(StackTop));
            var found = stack.Select(frame => (frame.Address, frame.StackPointer));
            found.Should().Equal(trace.Frames, "step {0} of {1} is at {2}", steps, program, view.Modules.Name(trace.Registers.Rip));
            steps++;
            deepest = Math.Max(deepest, stack.Count);
        }

        view.Notes.Should().BeEmpty();
        steps.Should().BeGreaterThan(800);
        deepest.Should().BeGreaterThan(3);
    }

    private static byte[] Resource(string name)
    {
        using var stream = typeof(UnwindingTraceTests).Assembly.GetManifestResourceStream(name)!;
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }

    /// <summary>The processor's state, one line after the other; the format is step.c's.</summary>
    private sealed class Trace(FakeMemory memory, ulong stackTop)
    {
        public static readonly KernelAddress ImageBase = new(0xFFFFF803_30000000);

        /// <summary>Where the calls left their return addresses, outermost first.</summary>
        private readonly List<KernelAddress> _calls = [];

        public UnwindRegisters Registers { get; } = new(KernelAddress.Null, KernelAddress.Null);

        /// <summary>What a stack walk has to find: RIP with RSP, then for each call the return address with RSP above it.</summary>
        public IEnumerable<(KernelAddress, KernelAddress)> Frames =>
            _calls.AsEnumerable().Reverse().Select(at => (new KernelAddress(memory.UInt64(at)), at + 8)).Prepend((Registers.Rip, Registers.Rsp));

        public void Step(string line)
        {
            var words = line.Split(' ');
            Registers.Rip = ImageBase + Hex(words[0]);
            foreach (var word in words.Skip(1).Where(word => word.Contains('=')))
            {
                var (where, value) = (word[..word.IndexOf('=')], Value(word[(word.IndexOf('=') + 1)..]));
                if (where[0] == 'x') Registers[(int)Hex(where[1..])] = value;
                else memory.UInt64(new KernelAddress(stackTop - Hex(where[1..])), value);
            }

            if (words.Contains("c")) _calls.Add(Registers.Rsp);
            if (words.Contains("r")) _calls.RemoveAt(_calls.Count - 1);
        }

        /// <summary>The image as a loader maps it at a kernel address.</summary>
        public static byte[] Map(byte[] file)
        {
            using var reader = new System.Reflection.PortableExecutable.PEReader(new MemoryStream(file));
            var image = new byte[reader.PEHeaders.PEHeader!.SizeOfImage];
            file.AsSpan(0, reader.PEHeaders.PEHeader.SizeOfHeaders).CopyTo(image);
            foreach (var section in reader.PEHeaders.SectionHeaders)
                file.AsSpan(section.PointerToRawData, Math.Min(section.SizeOfRawData, section.VirtualSize)).CopyTo(image.AsSpan(section.VirtualAddress));
            return image;
        }

        private ulong Value(string text) => text[0] switch
        {
            'i' => (ImageBase + Hex(text[1..])).Value,
            't' => stackTop - Hex(text[1..]),
            _ => Hex(text),
        };

        private static ulong Hex(string text) => ulong.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
    }
}
