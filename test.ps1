# The whole test suite through dotnet test, for Windows; arguments (filters) go to it. JUnit XML under results\tests, one file for each test
# project. Last line: 'N passed, N failed' or 'N passed, N failed, N skipped', counted from those files. A test project that left no report,
# and a dotnet test that failed for another reason than a failed test, count as one failed each: there is no green line over a crash.
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$root = $PSScriptRoot
. (Join-Path $root 'scripts\dotnet.ps1')
$dotnet = Get-BuildingDotnet
if ($null -eq $dotnet) {
    '0 passed, 1 failed'
    exit 1
}

$reports = Join-Path $root 'results\tests'
[void] (New-Item -ItemType Directory -Force -Path $reports)
Get-ChildItem -LiteralPath $reports -Filter '*.junit.xml' | Remove-Item

# Somebody who filters may leave a project without a test; without a filter that is a failure (exit code 8).
$nothingToRun = @()
if ($args.Count -gt 0) { $nothingToRun = @('--ignore-exit-code', '8') }

# The analyzers take longer than the compiler; whoever builds by hand has them, and .ci/run.
Push-Location -LiteralPath $root
try {
    $ErrorActionPreference = 'Continue'
    & $dotnet test --solution DriverFaultHarness.sln -c Release '-p:RunAnalyzers=false' '-p:ReportJUnit=true' --results-directory $reports @nothingToRun @args
    $code = $LASTEXITCODE
}
finally {
    $ErrorActionPreference = 'Stop'
    Pop-Location
}

$run = 0
$failed = 0
$skipped = 0
foreach ($project in Get-ChildItem -Path (Join-Path $root 'tests\*.Tests\*.csproj')) {
    $report = Join-Path $reports ($project.BaseName + '.junit.xml')
    try {
        $xml = New-Object System.Xml.XmlDocument
        $xml.Load($report)
    }
    catch {
        [Console]::Error.WriteLine("$($project.BaseName) left no whole report: it did not build, or its test host crashed.")
        $failed++
        $run++
        continue
    }
    $run += $xml.SelectNodes('//testcase').Count
    $failed += $xml.SelectNodes('//testcase/failure').Count + $xml.SelectNodes('//testcase/error').Count
    $skipped += $xml.SelectNodes('//testcase/skipped').Count
}

if ($code -ne 0) {
    [Console]::Error.WriteLine("dotnet test ended with $code.")
    if ($failed -eq 0) {
        [Console]::Error.WriteLine('No report tells of a failed test, so something else failed.')
        $failed = 1
        $run++
    }
}
$passed = [Math]::Max(0, $run - $failed - $skipped)
if ($passed + $failed -eq 0) {
    [Console]::Error.WriteLine('No test was executed.')
    $failed = 1
}
if ($skipped -gt 0) { "$passed passed, $failed failed, $skipped skipped" } else { "$passed passed, $failed failed" }
if ($failed -gt 0) { exit 1 }
exit 0
