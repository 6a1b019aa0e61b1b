using System.Text;
using System.Text.Json;
using Core.Tests.Evidence;
using Core.Tests.Verdicts;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Xunit;

namespace Core.Tests.Reports;

public sealed class EvidenceFileTests
{
    private static List<Observation> OneOfEach()
    {
        var log = new EvidenceLog();
        foreach (var kind in Specimen.Kinds(typeof(Observation)))
            log.Add(TimeSpan.FromTicks(log.Observations.Count * 12_345L), Sources.Etw, (Observation)Specimen.Of(kind));
        return [.. log.Observations];
    }

    [Theory]
    [InlineData(typeof(Observation))]
    [InlineData(typeof(Act))]
    [InlineData(typeof(Promise))]
    public void No_kind_is_forgotten_in_the_JSON_contract(Type contract) =>
        Specimen.Kinds(contract).Should().BeEquivalentTo(Specimen.ConcreteKinds(contract)).And.NotBeEmpty();

    [Fact]
    public void Every_kind_of_observation_comes_back_as_it_was()
    {
        var written = OneOfEach();
        var read = EvidenceText.Read(EvidenceText.Of(written));

        read.Should().HaveSameCount(written);
        for (var i = 0; i < written.Count; i++)
            read[i].Should().BeOfType(written[i].GetType()).And.BeEquivalentTo(written[i], o => o.RespectingRuntimeTypes().WithStrictOrdering());
    }

    [Fact]
    public void The_same_observations_are_the_same_bytes()
    {
        var first = EvidenceText.Of(OneOfEach());
        EvidenceText.Of(OneOfEach()).Should().Be(first);
        EvidenceText.Of(EvidenceText.Read(first)).Should().Be(first);
    }

    [Fact]
    public void Each_observation_is_one_line_of_camelCase_JSON_with_hexadecimal_addresses()
    {
        var text = EvidenceText.Of(Tale.Zombie().Evidence);
        var lines = text.Split('\n');

        lines[^1].Should().BeEmpty();
        text.Should().NotContain("\r");
        lines.Should().HaveCount(Tale.Zombie().Evidence.Count + 1);
        using var sent = JsonDocument.Parse(lines.Single(l => l.Contains("\"irpSent\"", StringComparison.Ordinal)));
        sent.RootElement.GetProperty("irp").GetString().Should().Be("0xffff800000102000");
        sent.RootElement.GetProperty("ioctl").GetString().Should().Be("0x00222008");
        sent.RootElement.GetProperty("major").GetString().Should().Be("DeviceControl");
        sent.RootElement.GetProperty("at").GetString().Should().Be("00:00:00");
        using var memory = JsonDocument.Parse(lines.Single(l => l.Contains("\"kernelMemory\"", StringComparison.Ordinal)));
        memory.RootElement.GetProperty("at").GetString().Should().Be("00:10:00.0010000");
        memory.RootElement.GetProperty("processes")[0].GetProperty("threads")[0].GetProperty("waitReason").GetString().Should().Be("Executive");
        lines.Should().NotContain(l => l.Contains("\\u002B", StringComparison.Ordinal), "offsets are written for people");
    }

    [Theory]
    [InlineData("{", "line 2")]
    [InlineData("[]", "line 2")]
    [InlineData("null", "line 2")]
    [InlineData("{\"kind\":\"fromTheFuture\",\"n\":2}", "line 2")]
    [InlineData("{\"n\":2,\"text\":\"no kind\"}", "line 2")]
    [InlineData("{\"kind\":\"debugPrinted\",\"n\":2,\"at\":\"00:00:00\",\"source\":\"emulator\"}", "line 2")]
    [InlineData("{\"kind\":\"debugPrinted\",\"n\":2,\"at\":\"00:00:00\",\"source\":\"emulator\",\"text\":null}", "line 2")]
    [InlineData("{\"kind\":\"debugPrinted\",\"n\":2,\"at\":\"soon\",\"source\":\"emulator\",\"text\":\"x\"}", "line 2")]
    [InlineData("{\"kind\":\"debugPrinted\",\"at\":\"00:00:00\",\"source\":\"emulator\",\"text\":\"x\"}", "line 2")]
    [InlineData("{\"kind\":\"debugPrinted\",\"n\":1,\"at\":\"00:00:00\",\"source\":\"emulator\",\"text\":\"x\"}", "out of order")]
    [InlineData("{\"kind\":\"dispatchReturned\",\"n\":2,\"at\":\"00:00:00\",\"source\":\"emulator\",\"irp\":\"zz\",\"request\":null,\"status\":\"0x0\"}", "line 2")]
    [InlineData("{\"kind\":\"dispatchReturned\",\"n\":2,\"at\":\"00:00:00\",\"source\":\"emulator\",\"irp\":\"0x1\",\"request\":null,\"status\":\"0x1ffffffff\"}", "line 2")]
    [InlineData("{\"kind\":\"dispatchReturned\",\"n\":2,\"at\":\"00:00:00\",\"source\":\"emulator\",\"irp\":17,\"request\":null,\"status\":\"0x0\"}", "line 2")]
    public void A_line_that_is_no_observation_is_one_clear_error_that_names_it(string bad, string named)
    {
        var good = EvidenceText.Of([new DebugPrinted("hello") { N = 1 }]);
        var reading = () => EvidenceText.Read(good + bad + "\n");

        var message = reading.Should().Throw<UnusableRunFolderException>().Which.Message;
        message.Should().Contain(named).And.NotContain("\n");
    }

    /// <summary>A line that is read, but for one word of it.</summary>
    [Theory]
    [InlineData("\"answer\":\"proven\"", "\"answer\":\"surely\"")]
    [InlineData("\"answer\":\"proven\"", "\"answer\":7")]
    [InlineData("\"hold\":\"Rundown\"", "\"hold\":77")]
    [InlineData("\"hold\":\"Rundown\"", "\"hold\":\"77\"")]
    [InlineData("\"gaps\":[]", "\"gaps\":null")]
    [InlineData("\"gaps\":[]", "\"gaps\":[null]")]
    [InlineData("\"facts\":[{", "\"facts\":[null,{")]
    [InlineData("\"processes\":[{", "\"processes\":[null,{")]
    [InlineData("\"ended\":\"00:05:03\"", "\"ended\":\"10675199.02:48:05.4775807\"")]
    [InlineData("\"ended\":\"00:05:03\"", "\"ended\":\"-10675199.02:48:05.4775808\"")]
    [InlineData("\"at\":\"00:00:00\"", "\"at\":\"-10675199.02:48:05.4775808\"")]
    public void What_the_rules_could_not_weigh_is_refused_when_it_is_read(string word, string other)
    {
        var fate = new TracedFate(412, "victim.exe", TimeSpan.FromSeconds(3), null, TimeSpan.FromSeconds(303), Answer.Proven, Hold.Rundown, null, "guilty.sys", null, "It says so.", [new TracedFact("a link", true)], null, [], []);
        var good = EvidenceText.Of([new EventTraceSeen("trace.etl", [fate], [], []) { N = 1, Source = Sources.Etw }]);
        var reading = () => EvidenceText.Read(good.Replace(word, other));

        good.Should().Contain(word);
        EvidenceText.Read(good).Should().ContainSingle();
        reading.Should().Throw<UnusableRunFolderException>().Which.Message.Should().Contain("line 1").And.NotContain("\n");
    }

    [Fact]
    public void A_truncated_file_is_an_error_and_not_a_shorter_story()
    {
        var all = OneOfEach();
        var text = EvidenceText.Of(all);
        var reading = () => EvidenceText.Read(text[..^5]);

        reading.Should().Throw<UnusableRunFolderException>().WithMessage($"*line {all.Count}:*");
    }

    [Fact]
    public void A_line_taken_out_anywhere_but_at_the_end_is_an_error_and_not_another_story()
    {
        var lines = EvidenceText.Of(OneOfEach()).Split('\n');
        for (var gone = 0; gone < lines.Length - 2; gone++)
        {
            var reading = () => EvidenceText.Read(string.Join('\n', lines.Where((_, index) => index != gone)));
            reading.Should().Throw<UnusableRunFolderException>().WithMessage($"evidence.jsonl, line {gone + 1}: observation {gone + 1} is missing before it");
        }

        var several = () => EvidenceText.Read(string.Join('\n', lines[4..]));
        several.Should().Throw<UnusableRunFolderException>().WithMessage("evidence.jsonl, line 1: observations 1 to 4 are missing before it");
    }

    [Fact]
    public void Shuffled_properties_and_empty_lines_are_read_for_what_they_are()
    {
        var text = "\n{\"text\":\"x\",\"source\":\"emulator\",\"n\":1,\"at\":\"00:00:01\",\"unknown\":1,\"kind\":\"debugPrinted\"}\r\n\n";
        EvidenceText.Read(text).Should().Equal(new DebugPrinted("x") { N = 1, At = TimeSpan.FromSeconds(1) });
    }

    [Fact]
    public void The_stream_stays_open()
    {
        using var stream = new MemoryStream(Encoding.UTF8.GetBytes(EvidenceText.Of(OneOfEach())));
        EvidenceFile.Read(stream);
        stream.CanRead.Should().BeTrue();
    }
}
