using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Harness.Emulation.Kernel;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests.Traces;

/// <summary>A trace is the run's and nobody else's: the same each time, taken back with a saved state, and told of the PDB that an image names.</summary>
public sealed class TracedStatesTests
{
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 0)]
    [InlineData(4, 42)]
    public void One_seed_leaves_one_trace(int processors, ulong seed)
    {
        var once = TracedRun.Of("hang-irp-noop-cancel", processors, seed, Settle);
        var again = TracedRun.Of("hang-irp-noop-cancel", processors, seed, Settle);

        again.File.AsSpan().SequenceEqual(once.File).Should().BeTrue();
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(4, 42)]
    public void What_is_undone_is_not_in_the_trace(int processors, ulong seed)
    {
        var whole = TracedRun.Of("hang-irp-noop-cancel", processors, seed, Settle).File;
        var story = Machine("hang-irp-noop-cancel", processors, seed, MyFault.Image());
        byte[] file = [];
        story.Stopping = () => file = TracedRun.Joined(story.StopTrace());
        var (more, steps, detours) = (true, 0, 0);
        while (more)
        {
            // Detours from the first half of the story, over buffers that are full and begun anew.
            if (steps++ % 500 == 250 && NtData.InterruptTime(story.Memory) < (ulong)Settle.Ticks / 2)
            {
                var state = story.Save();
                for (var i = 0; i < 1500; i++) story.Step().Should().BeTrue();
                story.Restore(state);
                story.Forget(state);
                detours++;
            }
            more = story.Step();
        }
        story.BeforeStop();

        detours.Should().BeGreaterThan(5);
        file.AsSpan().SequenceEqual(whole).Should().BeTrue();
    }

    [Fact]
    public void An_image_s_pdb_is_told_at_the_time_of_the_image()
    {
        var id = new Guid("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0");
        var machine = Machine("hang-irp", 1, 1, WithPdb(MyFault.Image(), id, 3, @"C:\build\myfault.pdb"));
        byte[] file = [];
        machine.Stopping = () => file = TracedRun.Joined(machine.StopTrace());
        machine.Run();

        TracedRun.Broken(file).Should().BeEmpty();
        var events = new TraceRecords(file).Events;
        var told = events.Where(e => e is { Group: < 0, Type: 36 }).ToList();
        told.Should().HaveCount(2).And.OnlyContain(e => e.Guid(12) == id && e.U32(28) == 3 && e.Ansi(32) == "myfault.pdb" && e.U32(8) == 0);
        foreach (var e in told) events.Should().ContainSingle(image => image.Time == e.Time && (image.Group == 20 || image.Group == 3) && image.U64(0) == e.U64(0));
    }

    private static Machine Machine(string name, int processors, ulong seed, byte[] image)
    {
        var scenario = ScenarioCatalogue.Named(name)!;
        var request = MyFault.WithCode(scenario.DefaultIoctl)!;
        var story = scenario.Tell(new Choices(request.Code, [], request.OutputLength, scenario.ExpectedOutcome(request.WhenItsCallerDies), Settle));
        return EmulatedTarget.Prepare(story, new DriverUnderTest(MyFault.FileName, image, MyFault.Device), new Conditions(seed, processors), new EvidenceLog(), trace: true);
    }

    /// <summary>A debug directory with an "RSDS" entry, where the headers of the image end.</summary>
    internal static byte[] WithPdb(byte[] image, Guid id, uint age, string path)
    {
        var pe = BitConverter.ToInt32(image, 0x3C);
        var sections = pe + 0x18 + BitConverter.ToUInt16(image, pe + 0x14);
        var directory = sections + (BitConverter.ToUInt16(image, pe + 6) * 40);
        var record = directory + 28;
        byte[] rsds = [.. "RSDS"u8, .. id.ToByteArray(), .. BitConverter.GetBytes(age), .. System.Text.Encoding.ASCII.GetBytes(path), 0];
        (record + rsds.Length).Should().BeLessThan(BitConverter.ToInt32(image, pe + 0x18 + 0x3C), "it must find room in the headers");
        BitConverter.GetBytes(2).CopyTo(image, directory + 0x0C);
        BitConverter.GetBytes(rsds.Length).CopyTo(image, directory + 0x10);
        BitConverter.GetBytes(record).CopyTo(image, directory + 0x14);
        BitConverter.GetBytes(record).CopyTo(image, directory + 0x18);
        rsds.CopyTo(image, record);
        BitConverter.GetBytes(directory).CopyTo(image, pe + 0x88 + 48);
        BitConverter.GetBytes(28).CopyTo(image, pe + 0x88 + 52);
        return image;
    }
}
