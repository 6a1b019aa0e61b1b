# The command, for Windows. The first start builds it; a later start only looks whether a source is newer than the build, which needs no SDK.
# Quote what PowerShell reads itself: '@input.bin', '\\.\X'.
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$root = $PSScriptRoot
$folder = Join-Path $root 'artifacts\command'
# Names the folder of the newest build and the dotnet it was built with. Its own time is the moment that build began.
$current = Join-Path $folder 'current'
$sources = 'src', 'driver\myfault\bin', 'Directory.Build.props', 'Directory.Build.targets', 'Directory.Packages.props', 'global.json', 'BannedSymbols.txt', '.editorconfig', 'driverfault.ps1'

# 4 is what the command itself says for the harness's own failures.
function Stop-WithFailure([string] $why) {
    [Console]::Error.WriteLine("driverfault: $why")
    exit 4
}

# The finished build that no source is newer than, or $null.
function Get-CurrentBuild {
    if (-not (Test-Path -LiteralPath $current)) { return $null }
    $lines = @([IO.File]::ReadAllLines($current))
    if ($lines.Count -lt 2) { return $null }
    $build = Join-Path $folder $lines[0]
    if (-not (Test-Path -LiteralPath (Join-Path $build 'driverfault.dll')) -or -not (Test-Path -LiteralPath $lines[1])) { return $null }
    $since = [IO.File]::GetLastWriteTimeUtc($current)
    foreach ($source in $sources) {
        $path = Join-Path $root $source
        if ((Get-Item -LiteralPath $path -Force).LastWriteTimeUtc -gt $since) { return $null }
        if (Test-Path -LiteralPath $path -PathType Container) {
            foreach ($entry in [IO.Directory]::EnumerateFileSystemEntries($path, '*', 'AllDirectories')) {
                if ([IO.File]::GetLastWriteTimeUtc($entry) -gt $since) { return $null }
            }
        }
    }
    return [pscustomobject] @{ Folder = $build; Name = $lines[0]; Dotnet = $lines[1] }
}

# A file that one process has open for itself is the lock; Windows gives it back when that process ends, however it ends.
function Open-BuildLock {
    $path = Join-Path $folder 'lock'
    for ($turn = 0; $turn -lt 3000; $turn++) {
        try {
            return [IO.File]::Open($path, 'OpenOrCreate', 'ReadWrite', 'None')
        }
        catch [IO.IOException] {
            if ($turn -eq 0) { [Console]::Error.WriteLine('driverfault: waiting for another build...') }
            Start-Sleep -Milliseconds 200
        }
    }
    Stop-WithFailure "waited ten minutes for another build; what has $path open?"
}

function Invoke-Publish([string] $dotnet, [string] $output, [string[]] $more) {
    $log = Join-Path $folder 'build.log'
    $project = Join-Path $root 'src\Harness.Cli\Harness.Cli.csproj'
    $artifacts = Join-Path $folder 'obj'
    Push-Location -LiteralPath $root
    try {
        # Windows PowerShell makes an error of every line that a program writes to standard error.
        $ErrorActionPreference = 'Continue'
        & $dotnet publish $project -c Release --use-current-runtime --self-contained false "-p:ArtifactsPath=$artifacts" '-p:RunAnalyzers=false' -o $output -nologo -v quiet @more *> $log
        return $LASTEXITCODE -eq 0
    }
    finally {
        Pop-Location
    }
}

function New-Build {
    . (Join-Path $root 'scripts\dotnet.ps1')
    try {
        [void] (New-Item -ItemType Directory -Force -Path $folder)
    }
    catch {
        Stop-WithFailure "cannot write $folder, where the command is built"
    }
    $lock = Open-BuildLock
    try {
        $build = Get-CurrentBuild
        if ($null -ne $build) { return $build }
        $dotnet = Get-BuildingDotnet
        if ($null -eq $dotnet) { exit 4 }
        [Console]::Error.WriteLine('driverfault: building (once)...')
        $old = if (Test-Path -LiteralPath $current) { @([IO.File]::ReadAllLines($current))[0] } else { '' }
        $began = [DateTime]::UtcNow
        $name = 'build-' + [IO.Path]::GetRandomFileName().Replace('.', '')
        $output = Join-Path $folder $name
        if (-not (Invoke-Publish $dotnet $output @('-p:PublishReadyToRun=true'))) {
            # Compiled ahead, it takes half the time; the compiler for that is a package which not every feed has.
            $log = @(Get-Content -LiteralPath (Join-Path $folder 'build.log'))
            if (($log -match 'crossgen|ReadyToRun|NETSDK1094') -and (Invoke-Publish $dotnet $output @())) {
                [Console]::Error.WriteLine('driverfault: the ahead-of-time compiler is not to be had here, so each start is slower')
            }
            else {
                $log = @(Get-Content -LiteralPath (Join-Path $folder 'build.log'))
                $telling = @($log -match ': (error|warning) ' | Sort-Object -Unique)
                if ($telling.Count -eq 0) { $telling = $log }
                foreach ($line in $telling) { [Console]::Error.WriteLine($line) }
                Stop-WithFailure "the build failed; all of it is in $(Join-Path $folder 'build.log')"
            }
        }
        $unfinished = "$current.unfinished"
        [IO.File]::WriteAllLines($unfinished, [string[]] @($name, $dotnet))
        [IO.File]::SetLastWriteTimeUtc($unfinished, $began)
        Move-Item -LiteralPath $unfinished -Destination $current -Force
        # A run that began before this build may still be loading files of the last one, so that one stays.
        Get-ChildItem -LiteralPath $folder -Directory -Filter 'build-*' | Where-Object { $_.Name -ne $name -and $_.Name -ne $old } |
            Remove-Item -Recurse -Force -ErrorAction SilentlyContinue
        return [pscustomobject] @{ Folder = $output; Name = $name; Dotnet = $dotnet }
    }
    finally {
        $lock.Dispose()
    }
}

$build = Get-CurrentBuild
if ($null -eq $build) { $build = New-Build }
# How it was called, for the line that runs a run again; '&' and '.' are not names.
$env:DRIVERFAULT_COMMAND = if ($MyInvocation.InvocationName -in '&', '.', '') { $PSCommandPath } else { $MyInvocation.InvocationName }
& $build.Dotnet (Join-Path $build.Folder 'driverfault.dll') @args
exit $LASTEXITCODE
