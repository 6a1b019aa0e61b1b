using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Harness.Benchmarks;

// --quick: one JSON line for each figure, in under half a minute. Otherwise BenchmarkDotNet, with its own arguments.
if (args is ["--quick"])
{
    QuickFigures.Write();
    return;
}
// In this process: the projects BenchmarkDotNet would generate know nothing of this repository's build settings.
var config = DefaultConfig.Instance.AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance)).WithArtifactsPath(Path.Combine("results", "benchmarks"));
BenchmarkSwitcher.FromAssembly(typeof(QuickFigures).Assembly).Run(args, config);
