using System.Threading;
using Polly;
using Polly.Retry;
using Polly.Timeout;

namespace Harness.Windows;

/// <summary>Waiting for what only asking again can tell. Every wait has a limit.</summary>
/// <param name="clock">Wall-clock time.</param>
/// <param name="stop">Ends every wait: --timeout has passed.</param>
internal sealed class Waits(TimeProvider clock, CancellationToken stop)
{
    private static readonly TimeSpan Between = TimeSpan.FromMilliseconds(20);

    /// <summary>Nobody waits for longer; Polly would not.</summary>
    private static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    /// <summary>Asks until the answer is yes (true) or the limit has passed (false).</summary>
    /// <exception cref="OperationCanceledException">--timeout has passed.</exception>
    public bool Until(TimeSpan limit, Func<bool> holds)
    {
        var pipeline = new ResiliencePipelineBuilder<bool> { TimeProvider = clock }
            .AddTimeout(new TimeoutStrategyOptions { Timeout = limit < Between ? Between : limit > Longest ? Longest : limit })
            .AddRetry(new RetryStrategyOptions<bool>
            {
                MaxRetryAttempts = int.MaxValue,
                Delay = Between,
                BackoffType = DelayBackoffType.Constant,
                ShouldHandle = new PredicateBuilder<bool>().HandleResult(false),
            })
            .Build();
        try
        {
            return pipeline.Execute(_ => holds(), stop);
        }
        catch (TimeoutRejectedException)
        {
            return holds();
        }
    }

    /// <summary>Waits for a task; what it throws comes out here.</summary>
    /// <exception cref="OperationCanceledException">--timeout has passed.</exception>
    public void For(Task task) => task.WaitAsync(stop).GetAwaiter().GetResult();

    /// <summary>Cancelled when the limit has passed.</summary>
    public CancellationTokenSource Within(TimeSpan limit) => new(limit, clock);

    /// <summary>Lets time pass.</summary>
    /// <exception cref="OperationCanceledException">--timeout has passed.</exception>
    public void Pass(TimeSpan time) => Task.Delay(time, clock, stop).GetAwaiter().GetResult();

    /// <summary>Wall-clock time as a count that is the same in every process of the machine.</summary>
    public long Now => clock.GetTimestamp();

    /// <summary>The date and the time, as event logs have them.</summary>
    public DateTimeOffset Today => clock.GetUtcNow();

    /// <summary>From one such count to another.</summary>
    public TimeSpan Elapsed(long from, long to) => clock.GetElapsedTime(from, to);
}
