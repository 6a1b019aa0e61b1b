using BenchmarkDotNet.Attributes;
using Emulation.Tests.Cpu;
using Harness.Emulation.Image;
using Harness.Emulation.Memory;

namespace Harness.Benchmarks;

/// <summary>A fixed mix of compiled instructions (mix.c) on the interpreter, with its shadow checks, and on Unicorn, which has none.</summary>
public class InstructionMix : IDisposable
{
    private const ulong ImageBase = 0xFFFF_F801_5000_0000;

    private readonly Bench _bench = Bench.With([0xC3], dataPages: 4);
    private readonly Unicorn? _unicorn;
    private readonly ulong _mix;
    private readonly byte[] _scratch = new byte[4 * GuestMemory.PageSize];

    public InstructionMix()
    {
        using var file = new MemoryStream();
        using (var resource = typeof(InstructionMix).Assembly.GetManifestResourceStream("mix.sys")!) resource.CopyTo(file);
        var image = DriverImage.Parse(file.ToArray(), "mix.sys");
        image.Map(_bench.Memory, ImageBase, import => throw new InvalidOperationException($"{import} should not be needed"));
        _mix = ImageBase + image.Exports.Single(export => export.Name == "Mix").Rva;
        for (var i = 0; i < _scratch.Length; i++) _scratch[i] = (byte)((i * 31) ^ (i >> 8));
        if (Unicorn.Lacks is null) _unicorn = new Unicorn(_bench.Memory);
        OnInterpreter();
        Instructions = _bench.Cpu.InstructionsRetired;
    }

    /// <summary>How often the functions are called in one go.</summary>
    public const ulong Rounds = 100;

    /// <summary>Instructions in one go.</summary>
    public long Instructions { get; }

    /// <summary>Is the library there?</summary>
    public bool HasUnicorn => _unicorn is not null;

    [Benchmark]
    public ulong OnInterpreter()
    {
        _bench.Memory.Write(Bench.Data, _scratch);
        return _bench.Call(_mix, Bench.Data, Rounds);
    }

    [Benchmark]
    public ulong OnUnicorn()
    {
        if (_unicorn is null) throw new InvalidOperationException(Unicorn.Lacks);
        var state = _bench.Prepare(_mix, Bench.Data, Rounds);
        _unicorn.Write(Bench.Data, _scratch);
        _unicorn.Write(state.Rsp, BitConverter.GetBytes(Bench.Nt));
        _unicorn.Run(ref state, Bench.Nt);
        return state.Rax;
    }

    public void Dispose()
    {
        _unicorn?.Dispose();
        GC.SuppressFinalize(this);
    }
}
