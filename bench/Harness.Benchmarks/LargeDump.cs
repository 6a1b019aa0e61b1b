using Core.Tests.Diagnosis;
using Core.Tests.Dumps;
using Harness.Core.Nt;

namespace Harness.Benchmarks;

/// <summary>
/// A dump of a machine of 16 GiB with 400 processes of 12 threads each, and one that was killed and cannot end. Frames nobody wrote are holes in
/// the file; the rest is spread over all of it.
/// </summary>
internal static class LargeDump
{
    private const ulong Machine = 16UL << 30;
    private const int Processes = 400, ThreadsOfEach = 12;

    /// <summary>From one frame in use to the next.</summary>
    private const ulong Spread = 60;

    public static void Write(string path)
    {
        var scene = new DumpScene();
        var kernel = scene.Kernel;
        kernel.LinkedWith(FakeKernel.KernelBase, LargePdb.Identity);
        // The scene has three processes with a thread each.
        for (var number = 3; number < Processes; number++)
        {
            var process = kernel.AddProcess(1000 + (number * 100), $"p{number}.exe");
            for (var thread = 0; thread < ThreadsOfEach; thread++)
                kernel.Wait(kernel.AddThread(process, 1004 + (number * 100) + (thread * 4)), WaitReason.UserRequest, scene.File + kernel.Layout.FileObject.Event, ["KeWaitForSingleObject"], ProcessorMode.UserMode);
        }

        using var file = File.Create(path);
        new FakeDump(kernel, largeKernel: false, spread: Spread) { DebuggerData = scene.DebuggerData }.WriteBitmap(file, Machine);
    }
}
