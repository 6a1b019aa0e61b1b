<#
.SYNOPSIS
Makes the virtual machine that drivers are tried in: generation 2, Secure Boot off, no automatic checkpoints.
.DESCRIPTION
From a disk with Windows on it (-VhdxPath), of which the machine gets a differencing disk, or from Windows's installation medium with a second one that has autounattend.xml
in its root (-IsoPath, -UnattendIsoPath) and a virtual TPM, without which the setup of Windows 11 refuses. A machine that is there already is only checked.
.EXAMPLE
.\New-HarnessVm.ps1 -VMName DriverTest -VhdxPath D:\Images\Windows11.vhdx
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess, DefaultParameterSetName = 'Disk')]
param(
    [Parameter(Mandatory)] [string] $VMName,
    [Parameter(Mandatory, ParameterSetName = 'Disk')] [string] $VhdxPath,
    [Parameter(Mandatory, ParameterSetName = 'Iso')] [string] $IsoPath,
    [Parameter(Mandatory, ParameterSetName = 'Iso')] [string] $UnattendIsoPath,
    [string] $Folder,
    [string] $SwitchName,
    [ValidateRange(2, 64)] [int] $MemoryGB = 4,
    [ValidateRange(1, 16)] [int] $Processors = 2
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
Import-Module -Name (Join-Path -Path $PSScriptRoot -ChildPath 'DriverFaultVm.psm1') -Force

Assert-Host
foreach ($file in @($VhdxPath, $IsoPath, $UnattendIsoPath | Where-Object { $_ })) {
    if (-not (Test-Path -LiteralPath $file -PathType Leaf)) { Stop-WithReason -Code 'failed' -Says "there is no file $file" }
}

if ($VMName -match '[\[\]*?/\\]') { Stop-WithReason -Code 'failed' -Says "-VMName: '$VMName' has a wildcard or a slash in it, which names of files and the cmdlets of Hyper-V do not take" }
$vm = Get-VM -Name $VMName -ErrorAction SilentlyContinue
if ($null -ne $vm) {
    Assert-VirtualMachine -VMName $VMName
    if ($vm.Generation -ne 2) { Stop-WithReason -Code 'failed' -Says "'$VMName' is there already and of generation $($vm.Generation); this needs one of generation 2, under another name" }
    Write-Verbose -Message "'$VMName' is there already."
}
elseif ($PSCmdlet.ShouldProcess($VMName, 'make a virtual machine')) {
    if (-not $Folder) { $Folder = (Get-VMHost).VirtualHardDiskPath }
    $disk = Join-Path -Path $Folder -ChildPath "$VMName.vhdx"
    if (Test-Path -LiteralPath $disk) { Stop-WithReason -Code 'failed' -Says "$disk is there already and belongs to no machine of this name; remove it, or choose another -Folder" }
    if ($VhdxPath) { [void] (New-VHD -Path $disk -ParentPath $VhdxPath -Differencing) }
    else { [void] (New-VHD -Path $disk -SizeBytes (64 * 1gb) -Dynamic) }
    $vm = New-VM -Name $VMName -Generation 2 -MemoryStartupBytes ($MemoryGB * 1gb) -VHDPath $disk
    if ($SwitchName) { Connect-VMNetworkAdapter -VMName $VMName -SwitchName $SwitchName }
    if ($IsoPath) {
        $dvd = Add-VMDvdDrive -VMName $VMName -Path $IsoPath -Passthru
        Add-VMDvdDrive -VMName $VMName -Path $UnattendIsoPath
        Set-VMFirmware -VMName $VMName -FirstBootDevice $dvd
        Set-VMKeyProtector -VMName $VMName -NewLocalKeyProtector
        Enable-VMTPM -VMName $VMName
    }
}

if ($PSCmdlet.ShouldProcess($VMName, 'turn Secure Boot, dynamic memory and automatic checkpoints off')) {
    # Test-signed drivers load only without Secure Boot. Memory that comes and goes would make two runs differ.
    if ((Get-VM -Name $VMName).State -ne 'Off') { Stop-WithReason -Code 'failed' -Says "'$VMName' is running; shut it down first" }
    Set-VMFirmware -VMName $VMName -EnableSecureBoot Off
    Set-VM -Name $VMName -StaticMemory -ProcessorCount $Processors -AutomaticCheckpointsEnabled $false -CheckpointType Standard
    "$VMName is there. Next: start it once, finish Windows's setup, then Initialize-HarnessVm.ps1"
}
