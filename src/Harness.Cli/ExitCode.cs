using Harness.Core.Verdicts;

namespace Harness.Cli;

/// <summary>What the process returns; scripts rely on it.</summary>
public enum ExitCode
{
    /// <summary>Everything passed.</summary>
    Pass = 0,

    /// <summary>A driver did what it should not.</summary>
    Fail = 1,

    /// <summary>Arguments or an input file that cannot be used; nothing was judged.</summary>
    Unusable = 2,

    /// <summary>It could not be told.</summary>
    Inconclusive = 3,

    /// <summary>The harness's own failure, an unwritable results folder included.</summary>
    HarnessFailure = 4,
}

internal static class ExitCodes
{
    /// <summary>The code of one verdict.</summary>
    public static ExitCode Of(Verdict verdict) => verdict switch
    {
        Verdict.Pass => ExitCode.Pass,
        Verdict.Fail => ExitCode.Fail,
        Verdict.Inconclusive => ExitCode.Inconclusive,
        _ => ExitCode.HarnessFailure,
    };

    /// <summary>The worst of several runs: the harness's own failure, then fail, inconclusive, pass.</summary>
    public static ExitCode Worst(ExitCode one, ExitCode other) => Severity(one) >= Severity(other) ? one : other;

    private static int Severity(ExitCode code) => code switch
    {
        ExitCode.Pass => 0,
        ExitCode.Inconclusive => 1,
        ExitCode.Fail => 2,
        ExitCode.HarnessFailure => 3,
        _ => 4,
    };
}
