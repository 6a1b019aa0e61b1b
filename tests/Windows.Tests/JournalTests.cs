using FluentAssertions;
using Harness.Windows;
using Xunit;

namespace Windows.Tests;

/// <summary>The file by which a run knows what a crashed run has left.</summary>
public sealed class JournalTests : IDisposable
{
    private static readonly Leftovers Left = new("DriverFault-x", @"C:\x.sys", @"\Device\X", 0x22200C, 4, null, []);

    private readonly string _folder = Directory.CreateTempSubdirectory("driverfault-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Text => File.ReadAllText(Path.Combine(_folder, "journal.jsonl"));

    [Fact]
    public void What_was_written_last_is_found()
    {
        using (var journal = Journal.Take(_folder, null)!)
        {
            journal.Found.Should().BeNull();
            journal.Write("install", Left);
            journal.Write("clients", Left with { Clients = [new LeftProcess(412, 5)] });
        }

        using var next = Journal.Take(_folder, null)!;
        next.Found.Should().BeEquivalentTo(Left with { Clients = [new LeftProcess(412, 5)] });
    }

    [Fact]
    public void A_line_that_was_cut_short_was_never_acted_upon()
    {
        using (var journal = Journal.Take(_folder, null)!)
        {
            journal.Write("install", Left);
            journal.Write("start", Left with { Service = "DriverFault-y" });
        }

        File.WriteAllText(Path.Combine(_folder, "journal.jsonl"), Text[..^9]);
        using var next = Journal.Take(_folder, null)!;
        next.Found.Should().BeEquivalentTo(Left);
    }

    [Theory]
    [InlineData("{\"service\":\"Drive")]
    [InlineData("\0\0\0\0")]
    [InlineData("this is none of ours\n{}\n[1]\nnull\n")]
    public void What_was_cut_short_or_is_damaged_hides_no_line_that_is_written_after_it(string before)
    {
        File.WriteAllText(Path.Combine(_folder, "journal.jsonl"), before);
        using (var journal = Journal.Take(_folder, null)!)
        {
            journal.Found.Should().BeNull();
            journal.Write("install", Left);
        }

        using var next = Journal.Take(_folder, null)!;
        next.Found.Should().BeEquivalentTo(Left);
    }

    [Theory]
    [InlineData("this is none of ours\n")]
    [InlineData("\0\0\0\0\n")]
    [InlineData("\0\0\0\0")]
    public void The_last_line_that_can_be_read_is_found_before_what_cannot(string after)
    {
        using (var journal = Journal.Take(_folder, null)!) journal.Write("install", Left);
        File.AppendAllText(Path.Combine(_folder, "journal.jsonl"), after);
        using var next = Journal.Take(_folder, null)!;
        next.Found.Should().BeEquivalentTo(Left);
    }

    [Fact]
    public void A_step_that_leaves_nothing_more_needs_no_room_on_the_disk()
    {
        List<string> steps = [];
        using (var journal = Journal.Take(_folder, steps.Add)!)
        {
            journal.Write("install", Left);
            journal.Write("stop", Left);
        }

        Text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Should().ContainSingle();
        steps.Should().Equal("install", "stop");
    }

    [Fact]
    public void A_cleared_journal_has_nothing()
    {
        using (var journal = Journal.Take(_folder, null)!)
        {
            journal.Write("install", Left);
            journal.Clear();
        }

        Text.Should().BeEmpty();
        using var next = Journal.Take(_folder, null)!;
        next.Found.Should().BeNull();
    }

    [Fact]
    public void Who_has_it_has_the_machine()
    {
        using (Journal.Take(_folder, null)!) Journal.Take(_folder, null).Should().BeNull();
        using var next = Journal.Take(_folder, null);
        next.Should().NotBeNull("the first has gone");
    }

    [Fact]
    public void A_line_is_on_the_disk_before_the_step_is_told()
    {
        List<string> steps = [];
        using (var journal = Journal.Take(_folder, step => steps.Add(step))!) journal.Write("install", Left);
        steps.Should().Equal("install");
    }

    [Theory]
    [InlineData("myfault.sys", "DriverFault-myfault")]
    [InlineData("my driver (1).sys", "DriverFault-my-driver--1-")]
    public void A_service_has_a_name_that_is_nobody_else_s(string file, string service) => DriverService.NameFor(file).Should().Be(service);
}
