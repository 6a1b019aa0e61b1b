using System.Buffers.Binary;
using System.Text;
using FluentAssertions;
using Harness.Cli;
using Harness.Core.Evidence;
using Harness.Core.Reports;
using Harness.Core.Stories;
using Harness.Scenarios;
using Xunit;

namespace Scenarios.Tests.Cli;

/// <summary>Files that are no driver for us, through the real command: one line that says what is wrong, the documented exit code, nothing left behind.</summary>
public sealed class BadInputTests : IDisposable
{
    // File offsets in myfault.sys: the PE header, and from it fields of the file and optional headers and the first section header.
    private static readonly int Pe = BinaryPrimitives.ReadInt32LittleEndian(MyFault.Image().AsSpan(0x3C));
    private static readonly int Machine = Pe + 4, Characteristics = Pe + 22, EntryPoint = Pe + 24 + 16, SizeOfImage = Pe + 24 + 56, Subsystem = Pe + 24 + 68, SecondSection = Pe + 24 + 240 + 40;

    private static readonly Dictionary<string, (Func<byte[]> File, string Says)> Files = new()
    {
        ["text"] = (() => "This is no driver.\n"u8.ToArray(), "is not a driver: it does not start with 'MZ'"),
        ["empty"] = (() => [], "is not a driver: it is empty"),
        ["MZ alone"] = (() => "MZ"u8.ToArray(), "is not a whole Windows executable"),
        ["half a driver"] = (() => MyFault.Image()[..(MyFault.Image().Length / 2)], "is cut short"),
        ["ELF"] = (() => [0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0], "does not start with 'MZ'"),
        ["32-bit"] = (() => With16(Machine, 0x14C), "is built for 32-bit x86; the emulated target runs x64 drivers: build it for x64"),
        ["ARM64"] = (() => With16(Machine, 0xAA64), "is built for ARM64; the emulated target runs x64 drivers: build it for x64"),
        ["KMDF"] = (() => WithText("IoCreateDevice", "WdfVersionBind", "ntoskrnl.exe", "WDFLDR.SYS"), "is a KMDF driver (it imports WDFLDR.SYS!WdfVersionBind); the emulated target does not support these yet"),
        ["KMDF by its import"] = (() => WithText("IoCreateDevice", "WdfVersionBind"), "is a KMDF driver (it imports ntoskrnl.exe!WdfVersionBind)"),
        ["minifilter"] = (() => WithText("IofCompleteRequest", "FltRegisterFilter", "ntoskrnl.exe", "FLTMGR.SYS"), "is a file system minifilter (it imports FLTMGR.SYS!FltRegisterFilter); the emulated target does not support these yet"),
        ["NDIS"] = (() => WithText("ntoskrnl.exe", "NDIS.SYS"), "is a network (NDIS) driver (it imports NDIS.SYS!"),
        ["Storport"] = (() => WithText("ntoskrnl.exe", "storport.sys"), "is a storage (Storport) miniport driver (it imports storport.sys!"),
        ["program"] = (() => With16(Subsystem, 3), "is a user-mode program, not a kernel driver: its subsystem is WindowsCui"),
        ["DLL"] = (() => With16(Subsystem, 2, With16(Characteristics, 0x2022)), "is a user-mode DLL, not a kernel driver: its subsystem is WindowsGui"),
        ["native program"] = (() => WithText("ntoskrnl.exe", "ntdll.dll"), "is a user-mode program or DLL, not a kernel driver: it imports ntdll.dll!"),
        ["program by its imports"] = (() => WithText("ntoskrnl.exe", "KERNEL32.dll"), "is a user-mode program or DLL, not a kernel driver: it imports KERNEL32.dll!"),
        [".NET assembly"] = (() => File.ReadAllBytes(typeof(ExitCode).Assembly.Location), "is a .NET assembly, not a driver"),
        ["4 GB image"] = (() => With32(SizeOfImage, 0xFFFF_F000), "claims 4294963200 bytes of memory; at most 67108864 are possible"),
        ["overlapping sections"] = (() => With32(SecondSection + 12, 0x1000), "overlaps what is before it"),
        ["entry point outside"] = (() => With32(EntryPoint, 0x00FF_0000), "its entry point 0xff0000 is not in executable code"),
    };

    private readonly Scratch _scratch = new();

    public static TheoryData<string> EveryFile => [.. Files.Keys];

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [MemberData(nameof(EveryFile))]
    public void A_file_that_is_no_driver_for_us_says_why_in_one_line(string file)
    {
        var (content, says) = Files[file];

        var run = Run(_scratch.File("given.sys", content()));

        run.Code.Should().Be(ExitCode.Unusable);
        run.Out.Should().BeEmpty();
        run.Error.Should().StartWith("driverfault: given.sys ").And.Contain(says);
        OneLineAndNothingBegun(run);
    }

    [Fact]
    public void A_driver_cut_off_at_any_byte_is_refused_in_one_line()
    {
        var whole = MyFault.Image();
        var end = whole.Length;
        // What a linker pads the last section with isn't mapped, so that a file without it is whole.
        for (var length = 0; length < end; length++)
        {
            var image = whole[..length];
            if (Whole(image)) continue;
            var run = Run(_scratch.File("cut.sys", image));

            run.Code.Should().Be(ExitCode.Unusable, $"{length} bytes of {end} are no driver: {run.Error}{run.Out}");
            OneLineAndNothingBegun(run);
        }

        // In its last section header: VirtualSize bytes from PointerToRawData on.
        static bool Whole(byte[] image)
        {
            var sections = image.Length < Pe + 8 ? 0 : BinaryPrimitives.ReadUInt16LittleEndian(image.AsSpan(Pe + 6));
            if (sections == 0 || image.Length < Pe + 24 + 240 + (40 * sections)) return false;
            var last = image.AsSpan(Pe + 24 + 240 + (40 * (sections - 1)));
            return image.Length >= BinaryPrimitives.ReadInt32LittleEndian(last[20..]) + BinaryPrimitives.ReadInt32LittleEndian(last[8..]);
        }
    }

    [Fact]
    public void A_driver_that_is_not_there_or_is_a_folder_is_one_line()
    {
        foreach (var (path, says) in new[] { (_scratch["nothing.sys"], "there is no file"), (_scratch.Folder, "is a folder") })
        {
            var run = Run(path);

            run.Code.Should().Be(ExitCode.Unusable);
            run.Error.Should().StartWith("driverfault: --driver: ").And.Contain(says).And.Contain(path);
            OneLineAndNothingBegun(run);
        }
    }

    [Theory]
    [InlineData("/proc/self/mem", "cannot read '/proc/self/mem': ")]
    [InlineData("/dev/zero", "/dev/zero has more than 67108864 bytes")]
    public void A_driver_that_cannot_be_read_or_has_no_end_is_one_line(string path, string says)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), $"there is no {path}");

        var run = Run(path);

        run.Code.Should().Be(ExitCode.Unusable);
        run.Error.Should().StartWith($"driverfault: --driver: {says}");
        OneLineAndNothingBegun(run);
    }

    [Theory]
    [InlineData("failing-entry", "FailingEntry", "DriverEntry of failing-entry.sys failed with 0xc000009a STATUS_INSUFFICIENT_RESOURCES (emulator #")]
    [InlineData("no-device", "NoDevice", "; DriverEntry of no-device.sys left no device.")]
    [InlineData("csq", "Mistyped", @"; DriverEntry of csq.sys left \Device\Csq.")]
    public void A_driver_that_does_not_get_as_far_as_the_request_is_inconclusive_and_says_why(string driver, string device, string because)
    {
        foreach (var variant in Rehearsal.Variants)
        {
            var run = CommandRun.Of("run", "hang-irp", "--driver", Repository.File("tests", "drivers", "bin", variant, driver + ".sys"), "--device", device, "--ioctl", "0x222000",
                "--results", _scratch["results"], "--format", "json");

            run.Code.Should().Be(ExitCode.Inconclusive);
            var json = System.Text.Json.JsonDocument.Parse(run.Lines.Should().ContainSingle().Which).RootElement;
            json.GetProperty("because").GetString().Should().Contain(because);
            json.GetProperty("outcome").ValueKind.Should().Be(System.Text.Json.JsonValueKind.Null, "nobody knows what would become of the client");
        }
    }

    [Fact]
    public void A_victim_that_was_given_no_time_is_not_called_a_zombie()
    {
        var soon = CommandRun.Of("run", "hang-irp", "--settle", "20ms", "--results", _scratch["results"]);
        var late = CommandRun.Of("run", "hang-irp", "--settle", "1s", "--results", _scratch["results"]);

        soon.Code.Should().Be(ExitCode.Inconclusive);
        soon.Out.Should().Contain("INCONCLUSIVE").And.Contain("too soon to tell a zombie");
        late.Code.Should().Be(ExitCode.Pass, late.Out);
    }

    [Theory]
    [InlineData("/proc/nope", "'/proc/nope': there is no such place, and none can be made")]
    [InlineData("/dev/null/results", "'/dev/null/results': there is no such place, and none can be made")]
    [InlineData("/dev/null", "'/dev/null': there is a file where a folder should be")]
    public void A_results_folder_that_cannot_be_made_is_one_line(string results, string says)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), $"{results} can perhaps be made");

        var run = CommandRun.Of("run", "hang-irp", "--results", results);

        run.Code.Should().Be(ExitCode.HarnessFailure);
        run.Out.Should().BeEmpty();
        run.Error.Should().StartWith($"driverfault: cannot write results to {says}").And.EndWith("\n");
        run.Error.TrimEnd('\n').Should().NotContain("\n");
    }

    [Theory]
    [InlineData(RunFolder.EvidenceFileName)]
    [InlineData(RunFolder.ReportFile)]
    [InlineData(RunFolder.VerdictFile)]
    public void A_disk_that_is_full_halfway_is_one_line_and_leaves_no_run_folder(string file)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "there is no /dev/full");
        var results = _scratch["results"];
        // Every write to /dev/full fails as on a full disk.
        var target = new ScriptedTarget((_, _, evidence) =>
        {
            evidence.Add(TimeSpan.Zero, Sources.Emulator, new DebugPrinted("something to keep"));
            File.CreateSymbolicLink(Path.Combine(Directory.EnumerateDirectories(results).Single(), file + ".unfinished"), "/dev/full");
        });

        var run = CommandRun.On(target, "run", "hang-irp", "--results", results);

        run.Code.Should().Be(ExitCode.HarnessFailure);
        run.Out.Should().BeEmpty("what could not be kept is not told as if it were");
        run.Error.Should().Match("driverfault: cannot write results to '*': the disk is full\n");
        Directory.EnumerateFileSystemEntries(results).Should().BeEmpty();
        File.Exists("/dev/full").Should().BeTrue("the link is removed, and not what it leads to");
    }

    [Fact]
    public void A_line_to_run_it_again_is_one_line_however_long()
    {
        var run = CommandRun.On(ScriptedTarget.Victim(Outcome.Ended), "run", "hang-irp", "--input", new string('a', 200), "--settle", "15s", "--seed", "77", "--results", _scratch["results"]);

        run.Lines[^1].Should().StartWith("run again      driverfault run hang-irp --input aaaa").And.EndWith(" --settle 15s --seed 77");
    }

    private CommandRun Run(string driver) => CommandRun.Of("run", "hang-irp", "--driver", driver, "--device", "X", "--ioctl", "0x222000", "--results", _scratch["results"]);

    private void OneLineAndNothingBegun(CommandRun run)
    {
        run.Error.Should().EndWith("\n").And.NotContain("   at ");
        run.Error.TrimEnd('\n').Should().NotContain("\n", "it is one line");
        Directory.Exists(_scratch["results"]).Should().BeFalse("nothing was begun");
    }

    private static byte[] With16(int offset, ushort value, byte[]? image = null)
    {
        image ??= MyFault.Image();
        BinaryPrimitives.WriteUInt16LittleEndian(image.AsSpan(offset), value);
        return image;
    }

    private static byte[] With32(int offset, uint value)
    {
        var image = MyFault.Image();
        BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(offset), value);
        return image;
    }

    // Names in the import table, each replaced by one that is not longer.
    private static byte[] WithText(params string[] pairs)
    {
        var image = MyFault.Image();
        for (var i = 0; i < pairs.Length; i += 2)
        {
            var at = image.AsSpan().IndexOf(Encoding.ASCII.GetBytes(pairs[i] + "\0"));
            at.Should().BePositive($"myfault.sys names {pairs[i]}");
            image.AsSpan(at, pairs[i].Length).Clear();
            Encoding.ASCII.GetBytes(pairs[i + 1]).CopyTo(image, at);
        }

        return image;
    }
}
