using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using HostProcessor;

// stdin: trials, one behind the other; stdout: for each its outcome. Ends with stdin.
var trampoline = new Trampoline();
using var input = new BufferedStream(Console.OpenStandardInput(), 1 << 16);
using var output = new BufferedStream(Console.OpenStandardOutput(), 1 << 16);
var trial = new Trial[1];
var outcome = new Outcome[1];
while (input.ReadAtLeast(MemoryMarshal.AsBytes(trial.AsSpan()), Unsafe.SizeOf<Trial>(), throwOnEndOfStream: false) == Unsafe.SizeOf<Trial>())
{
    trampoline.Run(trial[0], ref outcome[0]);
    output.Write(MemoryMarshal.AsBytes(outcome.AsSpan()));
}
output.Flush();
