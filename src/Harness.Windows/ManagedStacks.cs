using System.Runtime.Versioning;
using Microsoft.Diagnostics.Runtime;

namespace Harness.Windows;

/// <summary>The managed stacks of another process, by ClrMD: the line of C# whose system call has not come back.</summary>
[SupportedOSPlatform("windows")]
internal static class ManagedStacks
{
    private const int MostFrames = 64;

    /// <summary>Attaches, reads and lets go again; the process is suspended meanwhile.</summary>
    /// <param name="pid">The process.</param>
    /// <param name="tids">The threads that are wanted.</param>
    /// <returns>For each thread that has managed frames, these, innermost first.</returns>
    /// <exception cref="InvalidOperationException">It cannot be attached to, or has no runtime that can be read.</exception>
    public static IReadOnlyList<(int Tid, IReadOnlyList<string> Frames)> Of(int pid, IReadOnlyCollection<int> tids)
    {
        try
        {
            using var target = DataTarget.AttachToProcess(pid, suspend: true);
            var version = target.ClrVersions.FirstOrDefault() ?? throw new InvalidOperationException("there is no .NET runtime in it");
            using var runtime = version.CreateRuntime();
            using var lines = new SourceLines();
            return [.. runtime.Threads.Where(thread => tids.Contains((int)thread.OSThreadId)).Select(thread => ((int)thread.OSThreadId, Frames(thread, lines))).Where(stack => stack.Item2.Count > 0)];
        }
        catch (Exception e) when (e is not InvalidOperationException)
        {
            throw new InvalidOperationException(e.Message, e);
        }
    }

    private static IReadOnlyList<string> Frames(ClrThread thread, SourceLines lines) =>
        [.. thread.EnumerateStackTrace().Take(MostFrames).Where(frame => frame.Method is not null).Select(frame => Told(frame.Method!, frame.InstructionPointer, lines))];

    private static string Told(ClrMethod method, ulong instruction, SourceLines lines)
    {
        var signature = method.Signature ?? method.Name ?? "(unknown)";
        // A frame's address is that of the instruction after its call.
        var line = method.Type.Module.Name is { } assembly && method.GetILOffset(instruction - 1) is var offset and >= 0 ? lines.Of(assembly, method.MetadataToken, offset) : null;
        return line is null ? signature : $"{signature} in {line}";
    }
}
