using FluentAssertions;
using Harness.Emulation.Kernel;
using Xunit;

namespace Emulation.Tests.Kernel;

/// <summary>driver/toolchain/ntoskrnl.def names what drivers can be linked against: all that is modelled and that Windows exports.</summary>
public sealed class LinkTests
{
    private static readonly Dictionary<string, bool> Definitions = File.ReadLines(Path.Combine(Root(), "driver", "toolchain", "ntoskrnl.def"))
        .SkipWhile(line => line != "EXPORTS").Skip(1).Select(line => line.Split(' ')).ToDictionary(words => words[0], words => words is [_, "DATA"]);

    [Fact]
    public void Every_modelled_export_that_windows_has_can_be_linked()
    {
        var exported = NtExports().ToHashSet();
        var modelled = NtImage.Instance.Names.Where(exported.Contains).ToList();

        modelled.Should().HaveCountGreaterThan(500);
        modelled.Where(name => !Definitions.ContainsKey(name)).Should().BeEmpty("what is modelled and exported belongs into driver/toolchain/ntoskrnl.def");
    }

    [Fact]
    public void A_variable_is_linked_as_data_and_a_routine_as_code()
    {
        var variables = NtData.Exports.Select(export => export.Name).ToHashSet();

        Definitions.Where(definition => definition.Value).Select(definition => definition.Key).Should().BeSubsetOf(variables);
        Definitions.Where(definition => !definition.Value).Select(definition => definition.Key).Should().NotContain(name => variables.Contains(name));
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "DriverFaultHarness.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException($"{AppContext.BaseDirectory} is not inside the repository");
    }

    private static string[] NtExports()
    {
        using var reader = new StreamReader(typeof(NtImage).Assembly.GetManifestResourceStream("nt-exports.txt")!);
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
