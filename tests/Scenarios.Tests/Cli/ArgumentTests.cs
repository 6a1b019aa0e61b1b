using FluentAssertions;
using Harness.Cli;
using Harness.Cli.Arguments;
using Xunit;

namespace Scenarios.Tests.Cli;

public sealed class ArgumentTests
{
    [Theory]
    [InlineData("10m", 600_000)]
    [InlineData("15s", 15_000)]
    [InlineData("50ms", 50)]
    [InlineData("1.5h", 5_400_000)]
    [InlineData("0.5s", 500)]
    [InlineData("15S", 15_000)]
    [InlineData("00:10:00", 600_000)]
    [InlineData("1:02:03", 3_723_000)]
    [InlineData("0:00:00.05", 50)]
    [InlineData("24h", 86_400_000)]
    public void A_time_is_read(string text, int milliseconds) => TimeArgument.Settle(text).Should().Be(TimeSpan.FromMilliseconds(milliseconds));

    [Theory]
    [InlineData("10")]
    [InlineData("")]
    [InlineData("m")]
    [InlineData("ten minutes")]
    [InlineData("10:00")]
    [InlineData("1,5s")]
    [InlineData("1e3s")]
    [InlineData("25h")]
    [InlineData("99999999999999999999999999h")]
    [InlineData("9999999999999999999999999999999999999999h")]
    public void What_is_not_a_time_or_too_long_is_refused(string text) => Refused(() => TimeArgument.Settle(text)).Should().StartWith("--settle: ").And.Contain(text.Length == 0 ? "''" : text);

    [Theory]
    [InlineData("0")]
    [InlineData("0s")]
    [InlineData("-5s")]
    [InlineData("00:00:00")]
    [InlineData("-99999999999999999999h")]
    public void No_time_at_all_is_refused(string text) => Refused(() => TimeArgument.Settle(text)).Should().StartWith($"--settle: {text} leaves the client no time to go; write ");

    [Theory]
    [InlineData(600_000, "10m")]
    [InlineData(5_400_000, "90m")]
    [InlineData(15_000, "15s")]
    [InlineData(50, "50ms")]
    public void A_time_is_written_as_it_is_read(int milliseconds, string text)
    {
        TimeArgument.Text(TimeSpan.FromMilliseconds(milliseconds)).Should().Be(text);
        TimeArgument.Settle(text).Should().Be(TimeSpan.FromMilliseconds(milliseconds));
    }

    [Theory]
    [InlineData("MyFault", @"\Device\MyFault")]
    [InlineData(@"\\.\MyFault", @"\??\MyFault")]
    [InlineData(@"\Device\MyFault", @"\Device\MyFault")]
    [InlineData(@"\device\Harddisk0\DR0", @"\device\Harddisk0\DR0")]
    [InlineData(@"\DosDevices\MyFault", @"\DosDevices\MyFault")]
    public void A_device_is_named_in_three_ways(string text, string ntName) => DriverArgument.NtName(text).Should().Be(ntName);

    [Theory]
    [InlineData("")]
    [InlineData(@"\.\MyFault")]
    [InlineData(@"\MyFault")]
    [InlineData(@"\Device\")]
    [InlineData(@"\\.\")]
    [InlineData("a/b")]
    public void What_is_no_device_s_name_is_refused(string text) => Refused(() => DriverArgument.NtName(text)).Should().StartWith($"--device: '{text}'");

    [Theory]
    [InlineData("0x222008", 0x222008)]
    [InlineData("2236424", 0x222008)]
    [InlineData("hang-irp", 0x222008)]
    [InlineData("PEND", 0x222004)]
    public void A_control_code_is_a_number_or_a_name_of_myfault_s(string text, uint code) => RequestArgument.Ioctl(text).Should().Be(code);

    [Theory]
    [InlineData("pent")]
    [InlineData("0x100000000")]
    [InlineData("0xg")]
    [InlineData("-1")]
    public void What_is_no_control_code_is_refused(string text) => Refused(() => RequestArgument.Ioctl(text)).Should().StartWith("--ioctl: ").And.Contain(text);

    [Fact]
    public void A_mistyped_name_is_answered_with_the_near_one() => Refused(() => RequestArgument.Ioctl("pent")).Should().Contain("did you mean 'PEND'?");

    [Theory]
    [InlineData("00ff10", new byte[] { 0, 255, 16 })]
    [InlineData("0x00FF10", new byte[] { 0, 255, 16 })]
    [InlineData("00 ff 10", new byte[] { 0, 255, 16 })]
    [InlineData("", new byte[0])]
    public void Input_is_hexadecimal(string text, byte[] bytes) => RequestArgument.Input(text).Should().Equal(bytes);

    [Theory]
    [InlineData("0")]
    [InlineData("0g")]
    [InlineData("hello")]
    public void What_is_not_hexadecimal_is_refused(string text) => Refused(() => RequestArgument.Input(text)).Should().StartWith("--input: ").And.Contain(text);

    [Fact]
    public void Input_may_be_a_file()
    {
        using var scratch = new Scratch();

        RequestArgument.Input("@" + scratch.File("input.bin", 1, 2, 3)).Should().Equal(1, 2, 3);
    }

    [Fact]
    public void A_file_that_is_not_there_is_a_folder_or_is_too_large_is_refused()
    {
        using var scratch = new Scratch();

        Refused(() => InputFile.Read("--x", scratch["nothing"], 10)).Should().Contain("there is no file");
        Refused(() => InputFile.Read("--x", scratch.Folder, 10)).Should().Contain("is a folder");
        Refused(() => InputFile.Read("--x", scratch.File("large", 1, 2, 3), 2)).Should().Contain("has more than 2 bytes");
        Refused(() => InputFile.Read("--x", "", 10)).Should().StartWith("--x: ");
        Refused(() => InputFile.Read("--x", "a\0b", 10)).Should().StartWith("--x: ");
    }

    [Theory]
    [InlineData("0", 0UL)]
    [InlineData("0xffffffffffffffff", ulong.MaxValue)]
    public void A_seed_is_any_64_bit_number(string text, ulong seed) => NumberArgument.Seed(text).Should().Be(seed);

    [Theory]
    [InlineData("-1")]
    [InlineData("1.5")]
    [InlineData("0x")]
    [InlineData("18446744073709551616")]
    [InlineData("16777217")]
    public void What_is_no_length_is_refused(string text) => Refused(() => NumberArgument.OutputLength(text)).Should().StartWith("--output-length: ").And.Contain(text);

    private static string Refused<T>(Func<T> understand)
    {
        var message = understand.Invoking(f => f()).Should().Throw<UsageException>().Which.Message;
        message.Should().NotContain("\n");
        return message;
    }
}
