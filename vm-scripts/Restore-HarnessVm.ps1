<#
.SYNOPSIS
Puts the virtual machine back to its checkpoint and leaves it turned off.
.EXAMPLE
.\Restore-HarnessVm.ps1 -VMName DriverTest
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param([Parameter(Mandatory)] [string] $VMName, [string] $Checkpoint = 'clean')
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path -Path $PSScriptRoot -ChildPath 'DriverFaultVm.psm1') -Force

Assert-VirtualMachine -VMName $VMName
if ($PSCmdlet.ShouldProcess($VMName, "go back to the checkpoint '$Checkpoint', which loses everything since")) {
    Restore-Checkpoint -VMName $VMName -Checkpoint $Checkpoint -Confirm:$false
    "$VMName is at '$Checkpoint', turned off."
}
