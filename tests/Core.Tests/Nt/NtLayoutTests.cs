using System.Reflection;
using System.Text.Json;
using FluentAssertions;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Nt;

public class NtLayoutTests
{
    public static TheoryData<int> Builds => [14393, 17763, 18362, 19041, 20348, 22000, 22621, 22631, 26100];

    private static readonly JsonElement Table = ReadTable();

    [Theory, MemberData(nameof(Builds))]
    public void Every_offset_is_the_one_in_the_table_of_its_build(int build)
    {
        var layout = NtLayout.ForBuild(build);
        layout.Build.Should().Be(build);
        var compared = 0;

        foreach (var (structure, group) in new (string, object)[]
        {
            ("_KPROCESS", layout.KProcess), ("_EPROCESS", layout.EProcess), ("_KTHREAD", layout.KThread), ("_ETHREAD", layout.EThread),
            ("_KAPC_STATE", layout.ApcState), ("_KAPC", layout.Apc), ("_KWAIT_BLOCK", layout.WaitBlock), ("_DISPATCHER_HEADER", layout.DispatcherHeader),
            ("_IRP", layout.Irp), ("_IO_STACK_LOCATION", layout.StackLocation), ("_DEVICE_OBJECT", layout.DeviceObject), ("_DRIVER_OBJECT", layout.DriverObject),
            ("_FILE_OBJECT", layout.FileObject), ("_OBJECT_HEADER", layout.ObjectHeader), ("_KLDR_DATA_TABLE_ENTRY", layout.LoadedModule),
            ("_KPRCB", layout.Prcb), ("_KTRAP_FRAME", layout.TrapFrame),
        })
        {
            foreach (var property in group.GetType().GetProperties())
            {
                var expected = InTable(build, structure, property.Name == "SizeInBytes" ? "size" : property.Name);
                if (expected is null) continue; // a union member of _IRP, tested below; an optional field, null here
                compared++;
                property.GetValue(group).Should().Be(property.PropertyType == typeof(BitField) ? Bits(expected.Value) : expected.Value.GetUInt32(),
                    "{0}.{1} of {2}", structure, property.Name, build);
            }
        }

        compared.Should().BeGreaterThan(190, "the groups hold the whole table");
    }

    [Fact]
    public void Members_of_the_unions_are_those_of_wdm_h()
    {
        var layout = NtLayout.ForBuild(26100);
        (layout.Irp.Thread, layout.Irp.CurrentStackLocation, layout.Irp.OriginalFileObject).Should().Be((0x98u, 0xB8u, 0xC0u));
        (layout.StackLocation.OutputBufferLength, layout.StackLocation.InputBufferLength, layout.StackLocation.IoControlCode).Should().Be((8u, 0x10u, 0x18u));
        layout.SwitchFrame.Should().BeEquivalentTo(new { SizeInBytes = 0x40u, Rbp = 0x30u, Return = 0x38u });
    }

    [Fact]
    public void A_bit_field_is_three_numbers()
    {
        var alertable = NtLayout.ForBuild(19041).KThread.Alertable;
        alertable.Should().Be(new BitField(116, 4, 1));
        alertable.In(0b1_0000).Should().Be(1);
        alertable.In(0b0_1111).Should().Be(0);
        alertable.With(0xFFFF_FFFF, 0).Should().Be(0xFFFF_FFEF);
        new BitField(0, 0, 32).In(0xFFFF_FFFF).Should().Be(0xFFFF_FFFF);
    }

    [Fact]
    public void A_build_that_ships_the_kernel_of_another_has_its_layout()
    {
        foreach (var build in new[] { 19042, 19043, 19044, 19045 })
            NtLayout.ForBuild(build).EThread.IrpList.Should().Be(NtLayout.ForBuild(19041).EThread.IrpList);
        NtLayout.ForBuild(19045).Build.Should().Be(19041);
        NtLayout.ForBuild(22631).Build.Should().Be(22631, "it has a table of its own");
    }

    [Fact]
    public void What_is_not_told_for_a_build_is_named()
    {
        NtLayout.ForBuild(19041).Assumed.Should().BeEmpty();
        NtLayout.ForBuild(26100).Assumed.Should().Contain(["_IRP", "_IO_STACK_LOCATION", "_DISPATCHER_HEADER", "_KPROCESS.ThreadListHead"]).And.NotContain("_ETHREAD");
        NtLayout.ForBuild(26100).Irp.CancelRoutine.Should().Be(NtLayout.ForBuild(19041).Irp.CancelRoutine);
        NtLayout.ForBuild(22621).Prcb.Context.Should().BeNull("no table tells it");
    }

    [Fact]
    public void An_unknown_build_is_refused_by_name()
    {
        var ask = () => NtLayout.ForBuild(7601);
        ask.Should().Throw<UnknownBuildException>().WithMessage("*7601*19041*26100*").Which.Build.Should().Be(7601);
    }

    private static JsonElement? InTable(int build, string structure, string field)
    {
        foreach (var source in new[] { build.ToString(System.Globalization.CultureInfo.InvariantCulture), "19041" })
        {
            if (!Table.GetProperty("builds").GetProperty(source).TryGetProperty(structure, out var fields) || !fields.TryGetProperty(field, out var value)) continue;
            var own = source != "19041" || build == 19041;
            if (own || Table.GetProperty("stable_14393_to_22631").GetProperty(structure).EnumerateArray().Any(name => name.GetString() == field)) return value;
        }

        return null;
    }

    private static BitField Bits(JsonElement field) => new(field[0].GetUInt32(), field[1].GetInt32(), field[2].GetInt32());

    private static JsonElement ReadTable()
    {
        using var stream = typeof(NtLayout).Assembly.GetManifestResourceStream("nt-offsets.json")!;
        return JsonDocument.Parse(stream).RootElement;
    }
}
