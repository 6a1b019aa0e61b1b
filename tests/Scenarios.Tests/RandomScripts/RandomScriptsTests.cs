using System.Globalization;
using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Core.Stories;
using Harness.Core.Targets;
using Harness.Emulation;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests.RandomScripts;

/// <summary>Whatever clients do, on however many processors: the sound paths of MyFault give no finding, and the machine never has to give up.</summary>
public sealed class RandomScriptsTests
{
    // A long run: this many scripts.
    private const string MoreScripts = "DRIVERFAULT_SCRIPTS";

    private static readonly byte[] Driver = MyFault.Image();

    [Fact]
    public void Sound_requests_stay_sound_whatever_clients_do()
    {
        var count = int.Parse(Environment.GetEnvironmentVariable(MoreScripts) ?? "1500", CultureInfo.InvariantCulture);

        for (var number = 0; number < count; number++)
        {
            var conditions = new Conditions((ulong)number, 1 + (number % 4));
            var story = new ScriptWriter(number).Write();
            if (Wrong(story, conditions) is not { } wrong) continue;
            var (shortest, under) = Shortest(story, conditions);
            Assert.Fail($"script {number}, {conditions}: {wrong}\nthe shortest script that does it, {under}:\n{Text(shortest)}\n{Wrong(shortest, under)}");
        }
    }

    [Fact]
    public void A_driver_that_is_not_sound_is_found_out_and_the_script_is_cut_to_what_it_takes()
    {
        // MyFault with its PEND made into HANG_IRP: its clients stay.
        var conditions = new Conditions(1, 1);
        var hanging = Enumerable.Range(0, 100).Select(number => Hanging(new ScriptWriter(number).Write())).First(story => Wrong(story, conditions) is not null);

        var (shortest, under) = Shortest(hanging, conditions);

        var client = shortest.Processes.Should().ContainSingle(process => process.Name != Story.Controller).Which;
        var acts = client.Threads.SelectMany(thread => thread.Acts).ToList();
        acts.Should().HaveCount(2);
        acts.Should().ContainSingle(act => act is OpenDevice);
        acts.OfType<DeviceControl>().Should().ContainSingle().Which.Code.Should().Be(MyFault.HangIrp.Code);
        Wrong(shortest, under).Should().Contain("has not ended");
    }

    /// <summary>What no sound driver leaves behind; null: nothing.</summary>
    private static string? Wrong(Story story, Conditions conditions)
    {
        var log = new EvidenceLog();
        EmulatedTarget.Prepare(story, new DriverUnderTest(MyFault.FileName, Driver, MyFault.Device), conditions, log).Run();
        foreach (var seen in log.Observations)
        {
            switch (seen)
            {
                case DriverFault o:
                    return $"{o.Id}: {o.Detail}";
                case BugChecked o:
                    return $"{new BugCheck(o.Code)} by {o.By}: {string.Join(" < ", o.Stack)}";
                case Unmodelled o:
                    return $"{o.What}: {o.Detail}";
                case RunStopped o:
                    return o.Why;
                case DriverNotUnloaded o when Ended(story, log):
                    return $"{o.Module} cannot be unloaded: {o.Why}";
            }
        }

        return Ended(story, log) ? null : "a client has not ended a minute after it was killed";
    }

    private static bool Ended(Story story, EvidenceLog log) =>
        story.Processes.Where(process => process.Name != Story.Controller).All(process => log.Observations.OfType<ProcessEnded>().Any(ended => ended.Process == process.Name));

    /// <summary>
    /// Leaves out whatever it goes wrong without: clients, threads, acts, one by one, until nothing more can go. Without one client the others come
    /// at other times, so a few other seeds are tried too.
    /// </summary>
    private static (Story Story, Conditions Conditions) Shortest(Story story, Conditions conditions)
    {
        (Story Story, Conditions Conditions)? next = (story, conditions);
        while (next is { } shorter)
        {
            (story, conditions) = shorter;
            next = (from candidate in Shorter(story)
                    from seed in (ulong[])[conditions.Seed, 0, 1, 2, 3]
                    let under = conditions with { Seed = seed }
                    where Wrong(candidate, under) is not null
                    select ((Story, Conditions)?)(candidate, under)).FirstOrDefault();
        }

        return (story, conditions);
    }

    private static IEnumerable<Story> Shorter(Story story)
    {
        var clients = story.Processes.Where(process => process.Name != Story.Controller).ToList();
        for (var c = 0; c < clients.Count; c++)
        {
            if (!clients.Exists(other => other.Threads.SelectMany(thread => thread.Acts).OfType<Terminate>().Any(kill => kill.Process == clients[c].Name)))
                yield return Told(story, [.. clients.Where((_, index) => index != c)]);
            for (var t = 0; t < clients[c].Threads.Count; t++)
            {
                var threads = clients[c].Threads;
                if (threads.Count > 1 && !threads.SelectMany(thread => thread.Acts).OfType<CancelSynchronousIo>().Any(cancel => cancel.Thread == threads[t].Name))
                    yield return Told(story, With(clients, c, [.. threads.Where((_, index) => index != t)]));
                for (var a = 0; a < threads[t].Acts.Count; a++)
                {
                    if (threads[t].Acts[a] is IRequestAct request && threads.SelectMany(thread => thread.Acts).Any(act => act is CancelIoEx cancel && cancel.Request == request.Request || act is AwaitRequest await && await.Request == request.Request)) continue;
                    var acts = threads[t].Acts.Where((_, index) => index != a).ToList();
                    yield return Told(story, With(clients, c, [.. threads.Select((thread, index) => index == t ? thread with { Acts = acts } : thread)]));
                }
            }
        }
    }

    private static Story Told(Story like, IReadOnlyList<ClientProcess> clients) =>
        like.Processes[^1].Threads[0].Acts.OfType<DeviceControl>().Any() ? ScriptWriter.Told(clients) : WithoutRelease(clients);

    private static Story WithoutRelease(IReadOnlyList<ClientProcess> clients)
    {
        var story = ScriptWriter.Told(clients);
        var harness = story.Processes[^1];
        return story with { Processes = [.. clients, harness with { Threads = [harness.Threads[0] with { Acts = [.. harness.Threads[0].Acts.Where(act => act is not DeviceControl)] }] }] };
    }

    private static List<ClientProcess> With(List<ClientProcess> clients, int index, IReadOnlyList<ClientThread> threads) =>
        [.. clients.Select((client, i) => i == index ? client with { Threads = threads } : client)];

    private static Story Hanging(Story story) => WithoutRelease([.. story.Processes.Where(process => process.Name != Story.Controller)
        .Select(client => client with { Threads = [.. client.Threads.Select(thread => thread with { Acts = [.. thread.Acts.Select(Hanging)] })] })]);

    private static Act Hanging(Act act) => act switch
    {
        DeviceControl control when control.Code == MyFault.Pend.Code => control with { Code = MyFault.HangIrp.Code },
        DeviceControl control when control.Code == MyFault.Release.Code => control with { Code = MyFault.Query.Code },
        _ => act,
    };

    private static string Text(Story story) =>
        string.Join('\n', story.Processes.SelectMany(process => process.Threads.Select(thread => $"  {process.Name}.{thread.Name}: {string.Join("; ", thread.Acts)}")));
}
