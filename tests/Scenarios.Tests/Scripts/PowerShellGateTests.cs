using FluentAssertions;
using Scenarios.Tests.Cli;
using Xunit;

namespace Scenarios.Tests.Scripts;

/// <summary>Every PowerShell script is read by the gate (tests/PowerShell), and the gate notices what is planted.</summary>
public sealed class PowerShellGateTests : IDisposable
{
    private const string Sound = """
        [CmdletBinding(SupportsShouldProcess)]
        param([Parameter(Mandatory)] [string] $VMName)
        Set-StrictMode -Version Latest
        Import-Module (Join-Path -Path $PSScriptRoot -ChildPath 'Part.psm1')
        $found = Get-Part -Name $VMName
        if ($PSCmdlet.ShouldProcess($VMName, 'use')) { & (Join-Path -Path $PSScriptRoot -ChildPath 'Other.ps1') -Part $found -WhatIf:$false }

        """;

    private const string Module = """
        Set-StrictMode -Version Latest
        function Get-Part([string] $Name, [switch] $All) { if ($All) { return Get-Hidden } else { return $Name } }
        function Get-Hidden { return 'hidden' }
        Export-ModuleMember -Function 'Get-Part'

        """;

    private const string Other = """
        [CmdletBinding(SupportsShouldProcess)]
        param([string] $Part)
        Set-StrictMode -Version Latest
        "$Part"

        """;

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Every_script_of_the_repository_passes()
    {
        var gate = await Gate(Repository.Root);

        gate.Code.Should().Be(0, gate.Out);
        var scripts = new[] { Repository.Root, Repository.File("scripts"), Repository.File("vm-scripts"), Repository.File("driver", "myfault", "sign") }.Where(Directory.Exists)
            .SelectMany(folder => Directory.EnumerateFiles(folder, "*.ps*1")).Count();
        gate.LastLine.Should().Be($"{scripts} scripts, nothing found", "the gate sees all there are");
    }

    [Fact]
    public async Task Sound_scripts_pass()
    {
        var gate = await Planted("", "");

        gate.Code.Should().Be(0, gate.Out);
        gate.LastLine.Should().Be("3 scripts, nothing found");
    }

    [Theory]
    [InlineData("Script.ps1:7:", "syntax:", "if ($found { }\n", "")]
    [InlineData("Script.ps1:7:", "syntax:", "$list = @(1, 2\n", "")]
    [InlineData("Script.ps1:7:23: Get-Part has no parameter -nam", "", "Get-Part -Name $found -Nam 'x'\n", "")]
    [InlineData("Script.ps1:7:1: calls 'Get-Prat', which neither", "", "Get-Prat -Name 'x'\n", "")]
    [InlineData("Script.ps1:7:1: calls 'Get-Hidden', which neither", "", "Get-Hidden\n", "")]
    [InlineData("Script.ps1:7:1: calls 'dir', which neither", "", "dir\n", "")]
    [InlineData("Script.ps1:7:21: Get-ChildItem has no parameter -litteralpath", "", "Get-ChildItem $true -LitteralPath 'x'\n", "")]
    [InlineData("has no parameter -parts", "", "& (Join-Path -Path $PSScriptRoot -ChildPath 'Other.ps1') -Parts 'x'\n", "")]
    [InlineData("calls Another.ps1, which is not in this repository", "", "& (Join-Path -Path $PSScriptRoot -ChildPath 'Another.ps1')\n", "")]
    [InlineData("Script.ps1:7:6: $fuond is never assigned", "", "\"is: $fuond\"\n", "")]
    [InlineData("Get-Part is given @found, whose parameters cannot be checked", "", "Get-Part @found\n", "")]
    [InlineData("[string] is text where an argument stands", "", "Get-Part -Name [string] $found\n", "")]
    [InlineData("$found is not assigned on the other machine", "", "Invoke-Command -Session $found -ScriptBlock { $found }\n", "")]
    [InlineData("calls Get-Part on another machine", "", "Invoke-Command -Session $found -ScriptBlock { Get-Part -Name 'x' }\n", "")]
    [InlineData("calls Get-Part on another machine", "", "Invoke-Command -Session $found -ScriptBlock { function Get-One { Get-Part -Name 'x' }; Get-One }\n", "")]
    [InlineData("Windows PowerShell has no &&", "Script.ps1:7:", "Get-Part && Get-Part\n", "")]
    [InlineData("Invoke-Command sends what is not written here", "Script.ps1:7:15:", "$s = { 'x' }; Invoke-Command -Session $found -ScriptBlock $s\n", "")]
    [InlineData("Part.psm1:5:", "exports 'Get-More', which it does not define", "", "Export-ModuleMember -Function 'Get-More'\n")]
    [InlineData("Part.psm1:5:", "Get-Part has no parameter -whatif", "", "Get-Part -WhatIf\n")]
    public async Task What_is_planted_is_found(string where, string what, string inScript, string inModule)
    {
        var gate = await Planted(inScript, inModule);

        gate.Code.Should().Be(1);
        gate.Out.Split('\n').Should().Contain(line => line.Contains(where, StringComparison.Ordinal) && line.Contains(what, StringComparison.Ordinal), gate.Out);
    }

    [Fact]
    public async Task What_takes_its_variables_along_is_sound()
    {
        var gate = await Planted("Invoke-Command -Session $found -ScriptBlock { param($a) function Add-More([string] $c) { $c + 'more' }; $b = $using:found; Add-More -C \"$a $b\" } -ArgumentList $found\n", "");

        gate.Code.Should().Be(0, gate.Out);
    }

    [Fact]
    public void The_list_of_packages_names_no_host() => File.ReadAllText(Repository.File("tests", "PowerShell", "package-lock.json")).Should().NotContain("://");

    private async Task<ScriptRun> Planted(string inScript, string inModule)
    {
        foreach (var (name, text) in new[] { ("Script.ps1", Sound + inScript), ("Part.psm1", Module + inModule), ("Other.ps1", Other) })
            await File.WriteAllTextAsync(_scratch[name], text.ReplaceLineEndings("\n"));
        return await Gate(_scratch.Folder);
    }

    private static async Task<ScriptRun> Gate(string folder)
    {
        var node = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Select(path => Path.Combine(path, OperatingSystem.IsWindows() ? "node.exe" : "node")).FirstOrDefault(File.Exists);
        Assert.SkipWhen(node is null, "node is not here, which the gate runs on");
        Assert.SkipUnless(Directory.Exists(Repository.File("tests", "PowerShell", "node_modules")), "the grammar is not here: npm ci --prefix tests/PowerShell --ignore-scripts");
        return await ScriptRun.Of(node!, [Repository.File("tests", "PowerShell", "check.mjs"), folder], Repository.Root);
    }
}
