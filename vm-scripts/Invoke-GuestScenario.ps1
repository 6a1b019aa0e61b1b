<#
.SYNOPSIS
Runs a run folder in the guest and brings back what it left, also after a bug check or a hang.
.DESCRIPTION
With -Step one step of it, for the target 'hyperv' (driverfault run --target hyperv): the answer is a line 'driverfault:' with JSON in Base64, and the exit code is 0 whether the step succeeded or
not. Without -Step all of them in order, for a person: restore, start, wait, copy, run, collect.
.EXAMPLE
.\Invoke-GuestScenario.ps1 -VMName DriverTest -Harness ..\artifacts\guest -Source ..\results\some-run -Destination C:\temp\back
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidateSet('Check', 'Restore', 'Start', 'Connect', 'Copy', 'Run', 'Collect', 'LiveDump', 'Interrupt')] [string] $Step,
    [string] $VMName,
    [string] $ComputerName,
    [string] $Harness,
    [string] $Source,
    [string] $Destination,
    [string] $Checkpoint = 'clean',
    [ValidateRange(1, 86400)] [int] $StorySeconds = 420,
    [ValidateRange(1, 86400)] [int] $TimeoutSeconds = 540
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path -Path $PSScriptRoot -ChildPath 'DriverFaultVm.psm1') -Force

# Does one thing in a session of its own, which is closed whatever becomes of it.
function Use-Session([scriptblock] $Do) {
    $session = New-GuestSession -VMName $VMName -ComputerName $ComputerName
    try { & $Do $session }
    finally { Remove-PSSession -Session $session }
}

function Invoke-Check {
    if ([bool] $VMName -eq [bool] $ComputerName) { Stop-WithReason -Code 'failed' -Says 'name one machine: -VMName or -ComputerName' }
    if ($VMName) {
        Assert-VirtualMachine -VMName $VMName
        Assert-Checkpoint -VMName $VMName -Checkpoint $Checkpoint
        [void] (Get-GuestCredential -Machine $VMName)
    }
    else { [void] (Get-GuestCredential -Machine $ComputerName) }
}

function Invoke-Restore {
    if ($VMName) {
        Restore-Checkpoint -VMName $VMName -Checkpoint $Checkpoint -Confirm:$false
        return
    }
    # A machine without checkpoints is restarted, and what earlier nights left there is removed, so that nothing of it is taken for today's.
    Restart-Guest -ComputerName $ComputerName -TimeoutSeconds $TimeoutSeconds -Confirm:$false
    Use-Session -Do {
        param($session)
        Invoke-Command -Session $session -ScriptBlock {
            $ErrorActionPreference = 'Stop'
            foreach ($old in 'C:\Windows\MEMORY.DMP', 'C:\driverfault\run', 'C:\driverfault\results', 'C:\driverfault\live.dmp') {
                if (Test-Path -LiteralPath $old) { Remove-Item -LiteralPath $old -Recurse -Force }
            }
        }
    }
}

# Runs the harness in the guest and waits for the harness, not for what it started: a client that cannot die is what this is about.
function Invoke-Run {
    Use-Session -Do {
        param($session)
        $job = Invoke-Command -Session $session -AsJob -ArgumentList $Harness, $Source, $Destination, $StorySeconds, ([bool] $ComputerName) -ScriptBlock {
            param([string] $Folder, [string] $Run, [string] $Results, [int] $Seconds, [bool] $Physical)
            $ErrorActionPreference = 'Stop'
            [void] (New-Item -ItemType Directory -Force -Path $Results)
            $errors = "$Results\stderr.txt"
            $arguments = 'replay', "`"$Run`"", '--results', "`"$Results`"", '--format', 'json', '--timeout', "${Seconds}s"
            if ($Physical) { $arguments += '--i-know-this-machine' }
            $process = Start-Process -FilePath "$Folder\driverfault.exe" -ArgumentList $arguments -NoNewWindow -PassThru -RedirectStandardOutput "$Results\stdout.txt" -RedirectStandardError $errors
            # Without its handle a process that has ended tells no exit code.
            [void] $process.Handle
            $process.WaitForExit()
            [pscustomobject] @{ exitCode = $process.ExitCode; says = (@(Get-Content -LiteralPath $errors -Encoding UTF8) | Where-Object { $_ } | Select-Object -Last 1) }
        }
        try {
            if ($null -eq (Wait-Job -Job $job -Timeout $TimeoutSeconds)) { Stop-WithReason -Code 'timeout' -Says "the run did not end within $TimeoutSeconds s" }
            try {
                $ended = Receive-Job -Job $job -ErrorAction Stop
            }
            catch {
                if ($session.State -ne 'Opened') { Stop-WithReason -Code 'guestGone' -Says "the connection to the guest broke while it ran: $($_.Exception.Message)" }
                Stop-WithReason -Code 'failed' -Says "the harness could not be run in the guest: $($_.Exception.Message)"
            }
            if ($null -eq $ended) { Stop-WithReason -Code 'guestGone' -Says "the connection to the guest broke while it ran: the job's state is $($job.State)" }
            return [pscustomobject] @{ ok = $true; exitCode = [int] $ended.exitCode; says = [string] $ended.says }
        }
        finally {
            # A job that waits for a guest which is gone cannot be stopped in time; it ends with this process.
            if ($job.State -ne 'Running') { Remove-Job -Job $job -Force }
        }
    }
}

function Invoke-LiveDump {
    Use-Session -Do {
        param($session)
        $said = Invoke-Command -Session $session -ScriptBlock {
            $tool = 'C:\driverfault\tools\livekd64.exe'
            if (-not (Test-Path -LiteralPath $tool -PathType Leaf)) { return 'the guest has no livekd64.exe; Initialize-HarnessVm.ps1 -LiveKd takes it there' }
            $output = & $tool -accepteula -ml -o 'C:\driverfault\live.dmp' 2>&1 | Out-String
            if (Test-Path -LiteralPath 'C:\driverfault\live.dmp' -PathType Leaf) { return '' }
            return "livekd64.exe wrote no dump: $output"
        }
        if ($said) { Stop-WithReason -Code 'failed' -Says $said }
        Copy-FromGuest -Session $session -Source 'C:\driverfault\live.dmp' -Destination $Destination
    }
}

function Invoke-Interrupt {
    if (-not $VMName) { Stop-WithReason -Code 'failed' -Says 'only a virtual machine can be interrupted from here' }
    Debug-VM -Name $VMName -InjectNonMaskableInterrupt -Force -Confirm:$false
}

function Invoke-Step([string] $Name) {
    $done = [pscustomobject] @{ ok = $true }
    switch ($Name) {
        'Check' { Invoke-Check }
        'Restore' { Invoke-Restore }
        'Start' { if ($VMName -and (Get-VM -Name $VMName).State -ne 'Running') { Start-VM -Name $VMName } }
        'Connect' {
            $guest = Wait-Guest -VMName $VMName -ComputerName $ComputerName -TimeoutSeconds $TimeoutSeconds
            $done = [pscustomobject] @{ ok = $true; boot = [string] $guest.boot; dump = [bool] $guest.dump }
        }
        'Copy' { Use-Session -Do { param($session) Copy-ToGuest -Session $session -Source $Source -Destination $Destination } }
        'Run' { $done = Invoke-Run }
        'Collect' { Use-Session -Do { param($session) Copy-FromGuest -Session $session -Source $Source -Destination $Destination } }
        'LiveDump' { Invoke-LiveDump }
        'Interrupt' { Invoke-Interrupt }
    }
    return $done
}

if ($Step) {
    if (-not $PSCmdlet.ShouldProcess("$VMName$ComputerName", $Step)) { return }
    # What a step says besides must not look like its answer, and its answer is one object.
    try { $answer = @(Invoke-Step -Name $Step)[-1] }
    catch { $answer = ConvertTo-Answer -Failure $_ }
    Write-Answer -Answer $answer
    exit 0
}

Invoke-Check
if (-not ($Harness -and $Source -and $Destination)) { Stop-WithReason -Code 'failed' -Says 'without -Step it needs -Harness (a folder of this host), -Source (a run folder) and -Destination' }
if (-not $PSCmdlet.ShouldProcess("$VMName$ComputerName", 'go back to the checkpoint and run the harness there')) { return }
$guestHarness = 'C:\driverfault\harness'
$guestRun = 'C:\driverfault\run\by-hand'
$guestResults = 'C:\driverfault\results\by-hand'
$local = $Harness, $Source, $Destination
foreach ($part in 'Restore', 'Start', 'Connect') { [void] (Invoke-Step -Name $part) }
Use-Session -Do { param($session) Copy-ToGuest -Session $session -Source $local[0] -Destination $guestHarness }
Use-Session -Do { param($session) Copy-ToGuest -Session $session -Source $local[1] -Destination $guestRun }
$Harness, $Source, $Destination = $guestHarness, $guestRun, $guestResults
try {
    $run = Invoke-Run
    Use-Session -Do { param($session) Copy-FromGuest -Session $session -Source $guestResults -Destination $local[2] }
    "The harness in the guest ended with exit code $($run.exitCode); what it left is in $($local[2])."
}
catch {
    $why = ConvertTo-Answer -Failure $_
    [Console]::Error.WriteLine($why.says)
    $Destination = Join-Path -Path $local[2] -ChildPath 'LIVE.DMP'
    [void] (New-Item -ItemType Directory -Force -Path $local[2])
    if ($why.error -eq 'timeout') {
        # The watchdog: a live dump while the guest still answers, else an interrupt, on which it stops and writes one.
        try {
            Invoke-LiveDump
            "A live dump is in $Destination."
            exit 4
        }
        catch {
            [Console]::Error.WriteLine((ConvertTo-Answer -Failure $_).says)
            if ($VMName) { Invoke-Interrupt }
        }
    }
    $back = Wait-Guest -VMName $VMName -ComputerName $ComputerName -TimeoutSeconds $TimeoutSeconds
    if ($back.dump) {
        Use-Session -Do { param($session) Copy-FromGuest -Session $session -Source 'C:\Windows\MEMORY.DMP' -Destination (Join-Path -Path $local[2] -ChildPath 'MEMORY.DMP') }
        "The guest's kernel dump is in $($local[2]); driverfault diagnose reads it."
    }
    exit 4
}
