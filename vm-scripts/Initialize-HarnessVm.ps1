<#
.SYNOPSIS
Makes the guest fit for test-signed drivers and takes the checkpoint that every run begins at.
.DESCRIPTION
In the guest: test signing on, the test certificate trusted, kernel dumps on, Driver Verifier off or on for one driver, old dumps removed; then it is shut down and the checkpoint
is taken anew. With -ComputerName the same for another machine, without a checkpoint.
.EXAMPLE
.\Initialize-HarnessVm.ps1 -VMName DriverTest -Certificate .\test.cer
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [string] $VMName,
    [string] $ComputerName,
    [string] $Certificate,
    [string] $VerifiedDriver,
    [string] $LiveKd,
    [string] $Checkpoint = 'clean',
    [ValidateRange(30, 3600)] [int] $TimeoutSeconds = 600
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path -Path $PSScriptRoot -ChildPath 'DriverFaultVm.psm1') -Force

if ([bool] $VMName -eq [bool] $ComputerName) { Stop-WithReason -Code 'failed' -Says 'name one machine: -VMName or -ComputerName' }
$machine = if ($VMName) { $VMName } else { $ComputerName }
foreach ($file in @($Certificate, $LiveKd | Where-Object { $_ })) {
    if (-not (Test-Path -LiteralPath $file -PathType Leaf)) { Stop-WithReason -Code 'failed' -Says "there is no file $file" }
}
if ($VerifiedDriver -and $VerifiedDriver -notmatch '^[\w.-]+\.sys$') { Stop-WithReason -Code 'failed' -Says "-VerifiedDriver: '$VerifiedDriver' is not a driver's file name, such as mydriver.sys" }
if (-not $PSCmdlet.ShouldProcess($machine, 'turn test signing and kernel dumps on, restart, and take the checkpoint anew')) { return }

if ($VMName) {
    Assert-VirtualMachine -VMName $VMName
    if ((Get-VM -Name $VMName).State -ne 'Running') { Start-VM -Name $VMName }
}
[void] (Wait-Guest -VMName $VMName -ComputerName $ComputerName -TimeoutSeconds $TimeoutSeconds)
$session = New-GuestSession -VMName $VMName -ComputerName $ComputerName
try {
    Invoke-Command -Session $session -ScriptBlock { [void] (New-Item -ItemType Directory -Force -Path 'C:\driverfault\tools') }
    if ($LiveKd) { Copy-Item -LiteralPath $LiveKd -Destination 'C:\driverfault\tools\livekd64.exe' -ToSession $session -Force }
    if ($Certificate) { Copy-Item -LiteralPath $Certificate -Destination 'C:\driverfault\test.cer' -ToSession $session -Force }
    Invoke-Command -Session $session -ArgumentList $VerifiedDriver -ScriptBlock {
        param([string] $Verified)
        $ErrorActionPreference = 'Stop'
        function Invoke-Tool([string] $Tool, [string[]] $Arguments, [int[]] $Fine) {
            # What a program writes to standard error is no failure of its own.
            $ErrorActionPreference = 'Continue'
            $said = & $Tool $Arguments 2>&1 | Out-String
            if ($Fine -notcontains $LASTEXITCODE) { throw "$Tool $Arguments ended with $LASTEXITCODE in the guest: $said" }
        }
        Invoke-Tool -Tool 'bcdedit.exe' -Arguments '/set', 'testsigning', 'on' -Fine 0
        if (Test-Path -LiteralPath 'C:\driverfault\test.cer') {
            foreach ($store in 'Root', 'TrustedPublisher') { Invoke-Tool -Tool 'certutil.exe' -Arguments '-f', '-addstore', $store, 'C:\driverfault\test.cer' -Fine 0 }
        }
        # Kernel dumps (2), kept however full the disk is; the machine restarts by itself; an NMI stops it.
        $control = 'HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl'
        foreach ($value in @(@('CrashDumpEnabled', 2), @('AlwaysKeepMemoryDump', 1), @('AutoReboot', 1), @('NMICrashDump', 1))) {
            Set-ItemProperty -LiteralPath $control -Name $value[0] -Value $value[1] -Type DWord
        }
        # verifier.exe says 2 when a restart is needed for what it set.
        if ($Verified) { Invoke-Tool -Tool 'verifier.exe' -Arguments '/standard', '/driver', $Verified -Fine 0, 2 }
        else { Invoke-Tool -Tool 'verifier.exe' -Arguments '/reset' -Fine 0, 2 }
        foreach ($old in 'C:\Windows\MEMORY.DMP', 'C:\Windows\Minidump', 'C:\driverfault\run', 'C:\driverfault\results') {
            if (Test-Path -LiteralPath $old) { Remove-Item -LiteralPath $old -Recurse -Force }
        }
    }
}
finally {
    Remove-PSSession -Session $session
}

if ($ComputerName) {
    Restart-Guest -ComputerName $ComputerName -TimeoutSeconds $TimeoutSeconds -Confirm:$false
    "$ComputerName is ready."
    return
}
# One boot with the new settings, so that what they change at boot is in the checkpoint.
Stop-VM -Name $VMName -Force
Start-VM -Name $VMName
[void] (Wait-Guest -VMName $VMName -TimeoutSeconds $TimeoutSeconds)
Stop-VM -Name $VMName -Force
if ($null -ne (Get-VMSnapshot -VMName $VMName -Name $Checkpoint -ErrorAction SilentlyContinue)) { Remove-VMSnapshot -VMName $VMName -Name $Checkpoint -Confirm:$false }
Checkpoint-VM -Name $VMName -SnapshotName $Checkpoint
"$VMName is ready, and its checkpoint '$Checkpoint' is taken."
