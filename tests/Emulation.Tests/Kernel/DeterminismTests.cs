using System.Reflection;
using System.Runtime.CompilerServices;
using FluentAssertions;
using Harness.Core.Evidence;
using Harness.Core.Stories;
using Harness.Emulation.Kernel;
using Xunit;
using static Emulation.Tests.Kernel.KernelRun;

namespace Emulation.Tests.Kernel;

/// <summary>A run is its story, its driver and its seed, and what the kernel knows is in guest memory.</summary>
public sealed class DeterminismTests
{
    private static readonly BindingFlags Everything = BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;

    /// <summary>Every field of an object that lives as long as a run, and why it may be outside guest memory.</summary>
    private static readonly Dictionary<string, string> Reviewed = new()
    {
        ["Machine._evidence"] = "the log: a saved state remembers its length",
        ["Machine._modules"] = "grows while drivers are loaded, before a story begins; names for evidence only",
        ["Machine.Unmodelled"] = "readonly; addresses follow from names, but for those added while drivers are loaded",
        ["Machine._fromSeed"] = "readonly",
        ["Machine.Memory"] = "guest memory itself",
        ["Machine.Processors"] = "readonly; see Processor",
        ["Machine.Clients"] = "readonly; see Clients",
        ["Machine.KernelMemory"] = "readonly; a view of guest memory",
        ["Machine.LongestStretch"] = "set once, before the driver is loaded",
        ["Machine._initialization"] = "set once, when the driver is loaded",
        ["Machine._acting"] = "set anew before each step",
        ["Machine.Finished"] = "the end of the run",
        ["Machine.Stopping"] = "set once, before the driver is loaded, and gone when dump and trace were kept, which changes nothing",
        ["Machine.Trace"] = "what was logged: a saved state remembers how far it was",
        ["Machine.Ready"] = "set once, before the driver is loaded",
        ["Processor._routine"] = "the routine of the step that runs; set anew before each step",
        ["Processor._step"] = "the step that runs; set anew before each step",
        ["Processor.EnteredFrom"] = "set anew before each step",
        ["Processor.Machine"] = "readonly",
        ["Processor.Memory"] = "guest memory itself",
        ["Processor.Cpu"] = "the processor's registers",
        ["Processor.Number"] = "readonly",
        ["Processor.Requested"] = "a processor's state: software interrupts that are requested",
        ["Processor.Halted"] = "a processor's state",
        ["Processor.SpinsOn"] = "a processor's state",
        ["Clients.<machine>P"] = "readonly",
        ["Clients._clients"] = "filled when the story starts; where each process keeps what, never what it is doing",
    };

    private static readonly ClientProcess[] Cast =
    [
        Client(Thread("first", Open(), Ask(0x222008)), Thread("second", After(1), Ask(0x222004, "other"))),
        new ClientProcess("bystander", [Thread("main", new OpenDevice("b", Overlapped: true), Ask(0x222004, "calm", "b"), Ask(0x222000, "echo", "b"))]),
        Controller(new OpenDevice("c"), UntilPending, After(2), Kill, After(600), Look(), Release, After(1), Look("released")),
    ];

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(0xFEED_5EED_0000_0001)]
    public void One_seed_gives_the_same_evidence_byte_for_byte(ulong seed)
    {
        var once = In("gcc-O2", "myfault", seed, Cast).Bytes;
        var again = In("gcc-O2", "myfault", seed, Cast).Bytes;

        once.Should().NotBeEmpty();
        again.AsSpan().SequenceEqual(once).Should().BeTrue();
    }

    [Fact]
    public void Other_seeds_may_order_threads_otherwise_and_the_victim_s_fate_is_the_same()
    {
        for (ulong seed = 0; seed < 12; seed++)
        {
            var run = In("gcc-O2", "myfault", seed, Cast);

            run.State().Signalled.Should().BeFalse();
            run.State().Threads.Should().ContainSingle();
            run.State("released").Signalled.Should().BeTrue();
            run.All<BugChecked>().Should().BeEmpty();
            run.All<DriverFault>().Should().BeEmpty();
        }
    }

    [Fact]
    public void Nothing_of_the_kernel_is_in_static_fields_that_change()
    {
        var changing = Kernel().SelectMany(type => type.GetFields(Everything))
            .Where(field => field.IsStatic && !field.IsLiteral && !field.IsInitOnly && !IsGenerated(field))
            .Select(field => $"{field.DeclaringType!.Name}.{field.Name}");

        changing.Should().BeEmpty();
    }

    [Fact]
    public void Static_tables_of_the_kernel_are_never_collections_of_a_run()
    {
        // A readonly field may still hold something that grows: only what is filled once, in the type's own initializer, is allowed.
        string[] filledOnce = ["NtImage.Instance", "UnmodelledExports._ofNt"];
        var growing = Kernel().SelectMany(type => type.GetFields(Everything))
            .Where(field => field.IsStatic && !field.IsLiteral && !IsGenerated(field) && !IsTable(field.FieldType))
            .Select(Named).Except(filledOnce);

        growing.Should().BeEmpty();
    }

    [Fact]
    public void What_lives_as_long_as_a_run_is_reviewed_field_by_field()
    {
        Type[] owners = [typeof(Machine), typeof(Processor), typeof(Clients)];
        var fields = owners.SelectMany(owner => owner.GetFields(Everything)).Where(field => !field.IsStatic).Select(Named);

        fields.Should().BeEquivalentTo(Reviewed.Keys);
    }

    [Fact]
    public void Steps_of_nt_carry_nothing_from_one_run_to_the_next()
    {
        foreach (var routine in NtImage.Instance.Routines)
            foreach (var step in routine.Steps)
            {
                var carried = step.Target?.GetType().GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic) ?? [];
                carried.Where(field => !field.FieldType.IsPrimitive && !field.FieldType.IsEnum && field.FieldType != typeof(string) && !IsDefinition(field.FieldType)).Should().BeEmpty(routine.Name);
            }
    }

    private static IEnumerable<Type> Kernel() => typeof(Machine).Assembly.GetTypes().Where(type => type.Namespace?.StartsWith("Harness.Emulation.Kernel", StringComparison.Ordinal) == true);

    // Cached delegates of lambdas, and the like.
    private static bool IsGenerated(FieldInfo field) =>
        field.DeclaringType!.IsDefined(typeof(CompilerGeneratedAttribute), false) || field.DeclaringType.Name.StartsWith('<');

    private static bool IsTable(Type type) => type.IsPrimitive || type.IsEnum || type == typeof(string) || type.IsArray || type.IsValueType
        || type.FullName!.StartsWith("System.Collections.Frozen.", StringComparison.Ordinal) || type.FullName.StartsWith("System.Buffers.SearchValues", StringComparison.Ordinal);

    // What a closure of a definition may have captured: the routine's own shape.
    private static bool IsDefinition(Type type) => type == typeof(Step) || type == typeof(Routine) || typeof(Delegate).IsAssignableFrom(type);

    private static string Named(FieldInfo field)
    {
        var name = field.Name;
        if (name.EndsWith("k__BackingField", StringComparison.Ordinal)) name = name[1..name.IndexOf('>', StringComparison.Ordinal)];
        return $"{field.DeclaringType!.Name}.{name}";
    }
}
