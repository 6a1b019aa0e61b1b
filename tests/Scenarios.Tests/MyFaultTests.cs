using System.Globalization;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Core.Stories;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests;

public sealed partial class MyFaultTests
{
    private static readonly string Header = File.ReadAllText(Repository.File("driver", "myfault", "public.h"));

    [Fact]
    public void Has_the_requests_of_the_driver_s_header_and_no_others()
    {
        var inHeader = ControlCode().Matches(Header).Select(match =>
            (Name: match.Groups["name"].Value, Code: (0x22u << 16) | (Convert.ToUInt32(match.Groups["function"].Value, 16) << 2)));

        MyFault.Requests.Select(request => (request.Name, request.Code)).Should().Equal(inHeader);
    }

    [Fact]
    public void Every_control_code_of_the_header_was_understood() =>
        ControlCode().Count(Header).Should().Be(Regex.Count(Header, @"CTL_CODE\("), "all are FILE_DEVICE_UNKNOWN, METHOD_BUFFERED, FILE_ANY_ACCESS, so a code is its function");

    [Fact]
    public void Names_the_header_s_device() =>
        Device().Match(Header).Groups["name"].Value.Replace(@"\\", @"\", StringComparison.Ordinal).Should().Be(MyFault.Device);

    [Fact]
    public void Names_the_file_whose_create_hangs() =>
        HangCreate().Match(Header).Groups["name"].Value.Replace(@"\\", @"\", StringComparison.Ordinal).Should().Be(MyFault.HangCreateName);

    [Fact]
    public void Knows_the_longest_echo() =>
        int.Parse(EchoMaximum().Match(Header).Groups["bytes"].Value, CultureInfo.InvariantCulture).Should().Be(MyFault.EchoMaximum);

    [Theory]
    [InlineData("RELEASED", "RELEASE")]
    [InlineData("COUNTS", "QUERY")]
    public void Knows_the_size_of_each_output_structure(string structure, string request)
    {
        var body = Regex.Match(Header, @"typedef struct _MYFAULT_" + structure + @" \{(?<body>[^}]*)\}").Groups["body"].Value;

        body.Should().NotBeEmpty();
        MyFault.Named(request)!.OutputLength.Should().Be(4 * Regex.Count(body, @"^\s*ULONG \w+;", RegexOptions.Multiline));
    }

    [Theory]
    [InlineData("hang-irp")]
    [InlineData("HANG_IRP")]
    [InlineData("Hang-Irp")]
    [InlineData("hang_irp")]
    public void Finds_a_request_however_its_name_is_written(string name) => MyFault.Named(name).Should().Be(MyFault.HangIrp);

    [Fact]
    public void Only_the_defects_are_expected_to_hold_their_caller() =>
        MyFault.Requests.Where(request => request.WhenItsCallerDies == Outcome.Zombie).Should().Equal(MyFault.HangIrp, MyFault.NoopCancel);

    [Fact]
    public void Carries_the_committed_driver()
    {
        var recorded = File.ReadAllText(Repository.File("driver", "myfault", "bin", "x64", "myfault.sys.sha256")).Split(' ')[0];

        Convert.ToHexStringLower(SHA256.HashData(MyFault.Image())).Should().Be(recorded);
    }

    [Fact]
    public void Speaks_for_another_build_of_itself_and_for_a_renamed_copy_but_for_no_other_driver()
    {
        MyFault.Is("MyFault.sys", [1, 2, 3], @"\device\myfault").Should().BeTrue();
        MyFault.Is("copy.sys", MyFault.Image(), MyFault.Device).Should().BeTrue();
        MyFault.Is("other.sys", [1, 2, 3], MyFault.Device).Should().BeFalse();
        MyFault.Is("myfault.sys", [1, 2, 3], @"\Device\Other").Should().BeFalse();
    }

    [GeneratedRegex(@"#define MYFAULT_IOCTL_(?<name>\w+) CTL_CODE\(FILE_DEVICE_UNKNOWN, (?<function>0x[0-9a-fA-F]+), METHOD_BUFFERED, FILE_ANY_ACCESS\)")]
    private static partial Regex ControlCode();

    [GeneratedRegex("#define MYFAULT_DEVICE_NAME L\"(?<name>[^\"]+)\"")]
    private static partial Regex Device();

    [GeneratedRegex("#define MYFAULT_HANG_CREATE_NAME L\"(?<name>[^\"]+)\"")]
    private static partial Regex HangCreate();

    [GeneratedRegex(@"#define MYFAULT_ECHO_MAXIMUM (?<bytes>\d+)")]
    private static partial Regex EchoMaximum();
}
