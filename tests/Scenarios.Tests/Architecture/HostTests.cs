using FluentAssertions;
using Harness.Core.Targets;
using Harness.Emulation;
using Xunit;

namespace Scenarios.Tests.Architecture;

/// <summary>
/// What executes a driver has nothing to touch the host with: no file, network, process or environment, no native code, and of the runtime's unsafe
/// doors only those that docs/decisions/a-driver-cannot-touch-the-host.md explains.
/// </summary>
public sealed class HostTests
{
    // Whatever the emulated machine is made of. The readers and rules see evidence only after the driver has ended.
    private static readonly string[] Machine = ["Harness.Emulation", "Harness.Core.Nt", "Harness.Core.Stories", "Harness.Core.Diagnosis", "Harness.Core.Evidence", "Harness.Core.Targets"];

    private static readonly string[] Assemblies = [typeof(ITarget).Assembly.Location, typeof(EmulatedTarget).Assembly.Location];

    // Namespaces that hold data and arithmetic, and nothing of the host.
    private static readonly string[] Harmless =
    [
        "System", "System.Buffers", "System.Buffers.Binary", "System.Collections", "System.Collections.Concurrent", "System.Collections.Frozen", "System.Collections.Generic",
        "System.Collections.Immutable", "System.Globalization", "System.Linq", "System.Numerics", "System.Runtime.CompilerServices", "System.Runtime.Intrinsics", "System.Text", "System.Text.Json",
        "System.Text.Json.Serialization", "System.Reflection.PortableExecutable", "Iced.Intel", "Microsoft.CodeAnalysis",
    ];

    // Types of other namespaces, and types of these that do have something of the host, with all that is used of them. "attribute": they have no code.
    private static readonly Dictionary<string, string[]> Exceptions = new()
    {
        // Pure text, memory, and what is thrown.
        ["System.IO.Path"] = ["GetFileNameWithoutExtension"],
        ["System.IO.MemoryStream"] = [".ctor(, )"],
        ["System.IO.Stream"] = ["get_Length", "ReadExactly"],
        ["System.IO.IOException"] = [],
        // The iterators that the compiler makes.
        ["System.Environment"] = ["get_CurrentManagedThreadId"],
        // The tables of NT's layouts and exports lie in the assemblies themselves.
        ["System.IO.StreamReader"] = [".ctor(Stream)"],
        ["System.IO.TextReader"] = ["ReadToEnd"],
        ["System.Reflection.Assembly"] = ["GetManifestResourceStream"],
        ["System.Reflection.MemberInfo"] = ["get_Name"],
        ["System.Reflection.DefaultMemberAttribute"] = [],
        ["System.Type"] = ["GetTypeFromHandle", "get_Assembly", "op_Equality"],
        ["System.Threading.Lock"] = [".ctor()", "EnterScope", "Dispose"],
        // The unsafe doors: pinned arrays of our own and what lies in them.
        ["System.GC"] = ["AllocateArray", "KeepAlive"],
        ["System.Buffer"] = ["MemoryCopy"],
        ["System.Runtime.CompilerServices.Unsafe"] = ["Add", "As", "ReadUnaligned", "WriteUnaligned"],
        ["System.Runtime.InteropServices.Marshal"] = ["UnsafeAddrOfPinnedArrayElement"],
        ["System.Runtime.InteropServices.GCHandle"] = ["Alloc", "Free", "FromIntPtr", "ToIntPtr", "get_Target"],
        ["System.Runtime.InteropServices.GCHandleType"] = [],
        ["System.Runtime.InteropServices.MemoryMarshal"] = ["AsBytes", "Cast", "CreateSpan"],
        ["System.Runtime.InteropServices.CollectionsMarshal"] = ["AsSpan", "SetCount"],
        ["System.Runtime.InteropServices.InAttribute"] = [],
    };

    // Types of harmless namespaces that have something of the host.
    private static readonly string[] OfTheHost = ["System.Activator", "System.AppContext", "System.AppDomain", "System.Console", "System.Environment", "System.GC", "System.Buffer", "System.Type", "System.Runtime.CompilerServices.Unsafe"];

    [Fact]
    public void What_executes_a_driver_uses_no_type_that_reaches_the_host()
    {
        var used = Assemblies.SelectMany(UsesOf).Where(use => use.UsedAssembly is not null && Machine.Any(part => use.UserSpace == part || use.UserSpace.StartsWith(part + ".", StringComparison.Ordinal)))
            .Where(use => !use.UsedSpace.StartsWith("Harness.", StringComparison.Ordinal)).ToList();

        used.Should().Contain(use => use.UsedSpace == "System.Runtime.InteropServices", "the test reads what is there");
        used.Where(use => !Exceptions.ContainsKey($"{use.UsedSpace}.{use.Used}") && (!Harmless.Contains(use.UsedSpace) || OfTheHost.Contains($"{use.UsedSpace}.{use.Used}")))
            .Select(use => $"{use.UserSpace}.{use.User} uses {use.UsedSpace}.{use.Used}").Distinct().Should().BeEmpty();
    }

    [Fact]
    public void Of_the_types_that_could_reach_the_host_only_what_is_listed_is_used()
    {
        var doors = Exceptions.ToDictionary(door => door.Key.Split('.')[^1], door => door.Value);
        var members = Assemblies.SelectMany(assembly =>
        {
            using var uses = new TypeUses(assembly);
            return uses.Members(Machine);
        }).Distinct().Select(member => member.Split('.', 2)).Where(member => doors.ContainsKey(member[0])).ToList();

        members.Where(member => !doors[member[0]].Contains(member[1])).Select(member => string.Join('.', member)).Should().BeEmpty();
        doors.SelectMany(door => door.Value.Select(member => (door.Key, member))).Where(listed => !members.Any(member => member[0] == listed.Key && member[1] == listed.member))
            .Should().BeEmpty("the list names nothing that is not used");
    }

    [Fact]
    public void No_assembly_of_the_harness_declares_a_native_function()
    {
        foreach (var assembly in Assemblies)
        {
            using var uses = new TypeUses(assembly);
            uses.NativeFunctions.Should().Be(0, assembly);
        }

        using var other = new TypeUses(typeof(object).Assembly.Location);
        other.NativeFunctions.Should().BePositive("the test sees one where there is one");
    }

    private static IReadOnlyCollection<Use> UsesOf(string assembly)
    {
        using var uses = new TypeUses(assembly);
        return uses.All();
    }
}
