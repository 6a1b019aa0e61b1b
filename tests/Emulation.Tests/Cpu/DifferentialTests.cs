using FluentAssertions;
using HostProcessor;
using Iced.Intel;
using Xunit;

namespace Emulation.Tests.Cpu;

/// <summary>The interpreter against the processor of the machine the tests run on; the long run is the program HostProcessor.</summary>
public unsafe class DifferentialTests
{
    private const int Few = 5000;

    /// <summary>What could be wrong with an interpreter, one of each thing that is compared.</summary>
    public static TheoryData<string> Defects => ["flag", "register", "upper half", "xmm", "memory", "branch", "no exception", "fault address", "fault code", "inc as add"];

    [Fact]
    public void The_interpreter_and_the_host_processor_agree()
    {
        SkipWithoutHost();
        var comparison = new Comparison(seed: 1);
        comparison.Run(30_000);
        comparison.Disagreements.Select(pair => $"{pair.Key} ({pair.Value.Count} times): {pair.Value.First}").Should().BeEmpty();
        comparison.Mnemonics.Count.Should().BeGreaterThanOrEqualTo(140, "the trials should cover what compilers emit");
        comparison.Exceptions.Keys.Should().Contain([0, 6, 13, 14], "#DE, #UD, #GP and #PF should be among the trials");
    }

    [Theory]
    [MemberData(nameof(Defects))]
    public void The_comparison_finds_a_planted_defect(string defect)
    {
        SkipWithoutHost();
        var interpreted = new Interpreted();
        var planted = new HashSet<string>();
        var comparison = new Comparison(seed: 2, (in trial, ref outcome) =>
        {
            interpreted.Run(trial, ref outcome);
            if (Plant(defect, interpreted, trial, ref outcome) is { } where) planted.Add(where.ToString());
        });
        // What the trials are made from grows with the drivers: some defects show in one of thousands only.
        for (var more = 0; more < 40 && planted.Count == 0; more++) comparison.Run(Few);
        planted.Should().NotBeEmpty();
        comparison.Disagreements.Keys.Should().BeEquivalentTo(planted, "each encoding with the defect is named and no other");
    }

    private static void SkipWithoutHost()
    {
        if (HostOracle.Lacks is { } lack) Assert.Skip(lack);
    }

    /// <summary>Makes an outcome what an interpreter with the defect would leave; answers the encoding, or null for one that isn't affected.</summary>
    private static Code? Plant(string defect, Interpreted interpreted, in Trial trial, ref Outcome outcome)
    {
        fixed (byte* code = trial.Code)
        {
            var decoder = Decoder.Create(64, new ReadOnlySpan<byte>(code, trial.Length).ToArray(), Trial.CodeRegion);
            decoder.Decode(out var i);
            var faulted = outcome.Trap != Outcome.NoTrap;
            switch (defect)
            {
                case "flag" when i.Code == Code.Add_r64_rm64 && !faulted:
                    outcome.After.Flags ^= 0x10;
                    return i.Code;
                case "register" when i.Code == Code.Lea_r64_m && !faulted:
                    outcome.After.Registers[i.Op0Register - Register.RAX]++;
                    return i.Code;
                case "upper half" when i.Mnemonic == Mnemonic.Xor && i.Op0Register.IsGPR32() && !faulted && trial.Before.Registers[i.Op0Register - Register.EAX] >> 32 != 0:
                    outcome.After.Registers[i.Op0Register - Register.EAX] |= trial.Before.Registers[i.Op0Register - Register.EAX] & 0xFFFF_FFFF_0000_0000;
                    return i.Code;
                case "xmm" when i.Code == Code.Pxor_xmm_xmmm128 && !faulted:
                    outcome.After.Xmm[(16 * i.Op0Register.GetNumber()) + 15] ^= 0x80;
                    return i.Code;
                case "memory" when i.Code == Code.Mov_rm32_imm32 && i.Op0Kind == OpKind.Memory && !faulted:
                    outcome.After.Memory[Picture.WindowSize - 1]++;
                    return i.Code;
                case "branch" when i.Code == Code.Je_rel8_64:
                    outcome.Branched ^= 1;
                    return i.Code;
                case "no exception" when outcome.Trap == 0:
                    outcome.Trap = Outcome.NoTrap;
                    return i.Code;
                case "fault address" when outcome.Trap == 14 && i.Mnemonic == Mnemonic.Mov:
                    outcome.FaultAddress++;
                    return i.Code;
                case "fault code" when outcome.Trap == 14 && i.Mnemonic == Mnemonic.Mov:
                    outcome.ErrorCode ^= 2;
                    return i.Code;
                case "inc as add" when i.Mnemonic == Mnemonic.Inc && i.Op0Kind == OpKind.Register && i.Length < 10:
                    return RunIncAsAdd(interpreted, trial, i, ref outcome) ? i.Code : null;
                default:
                    return null;
            }
        }
    }

    /// <summary>inc leaves CF, add does not: true when that shows.</summary>
    private static bool RunIncAsAdd(Interpreted interpreted, in Trial trial, in Instruction inc, ref Outcome outcome)
    {
        var add = inc.Op0Register.GetSize() switch { 1 => Code.Add_rm8_imm8, 2 => Code.Add_rm16_imm8, 4 => Code.Add_rm32_imm8, _ => Code.Add_rm64_imm8 };
        var instead = trial;
        var encoder = Encoder.Create(64, new Writer(instead.Code));
        instead.Length = (byte)encoder.Encode(Instruction.Create(add, inc.Op0Register, 1), Trial.CodeRegion);
        var flags = outcome.After.Flags;
        interpreted.Run(instead, ref outcome);
        return outcome.After.Flags != flags;
    }

    private sealed class Writer(byte* to) : CodeWriter
    {
        private byte* _to = to;

        public override void WriteByte(byte value) => *_to++ = value;
    }
}
