<#
.SYNOPSIS
Registers the scheduled task that runs 'driverfault nightly' on this host every night.
.DESCRIPTION
The task runs as the user whose credential file the scripts read: with a password, since without one (S4U) Windows gives a task no access to what only its user can decrypt. The
password is asked for and goes to the Task Scheduler alone.
.EXAMPLE
.\Register-NightlyRun.ps1 -VMName DriverTest -At 02:30
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [string] $VMName,
    [DateTime] $At = '02:30',
    [string] $NightlyArguments = '--target hyperv',
    [string] $TaskName = 'DriverFaultHarness nightly',
    [pscredential] $Credential
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path -Path $PSScriptRoot -ChildPath 'DriverFaultVm.psm1') -Force

Assert-VirtualMachine -VMName $VMName
if ($VMName -match '["'']') { Stop-WithReason -Code 'failed' -Says '-VMName: a name with quotation marks cannot be passed on' }
$command = Join-Path -Path (Split-Path -Path $PSScriptRoot -Parent) -ChildPath 'driverfault.ps1'
if (-not (Test-Path -LiteralPath $command -PathType Leaf)) { Stop-WithReason -Code 'failed' -Says "there is no $command" }
if (-not $PSCmdlet.ShouldProcess($TaskName, "register a task that runs driverfault nightly at $($At.ToString('HH:mm'))")) { return }
if ($null -eq $Credential) { $Credential = Get-Credential -UserName "$env:USERDOMAIN\$env:USERNAME" -Message 'The account that runs the nightly task' }

$action = New-ScheduledTaskAction -Execute 'powershell.exe' -WorkingDirectory (Split-Path -Path $command -Parent) -Argument "-NoProfile -NonInteractive -ExecutionPolicy Bypass -File `"$command`" nightly $NightlyArguments --vm `"$VMName`""
$trigger = New-ScheduledTaskTrigger -Daily -At $At
# One night at a time, and never into the next day's work.
$settings = New-ScheduledTaskSettingsSet -MultipleInstances IgnoreNew -ExecutionTimeLimit (New-TimeSpan -Hours 6) -StartWhenAvailable
$account = $Credential.GetNetworkCredential()
[void] (Register-ScheduledTask -TaskName $TaskName -Action $action -Trigger $trigger -Settings $settings -User $Credential.UserName -Password $account.Password -RunLevel Highest -Force)
"'$TaskName' runs every night at $($At.ToString('HH:mm')); its pages are in results\nightly."
