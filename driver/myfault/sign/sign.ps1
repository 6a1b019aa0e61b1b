<#
.SYNOPSIS
Signs a driver with a test certificate of this machine, made when it is not there, and lets this machine trust it.
.DESCRIPTION
Needs an elevated PowerShell. It signs with signtool of the Windows SDK where that is on the PATH, and with Set-AuthenticodeSignature where it is not. The signed file goes to the folder 'signed'
here. The driver loads once test signing is on and the machine was restarted:
    bcdedit /set testsigning on
.EXAMPLE
driver\myfault\sign\sign.ps1 driver\myfault\bin\x64\myfault.sys
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [string] $Driver,
    [string] $Signed
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$subject = 'CN=DriverFaultHarness test signing'
if (-not $Signed) { $Signed = Join-Path -Path (Join-Path -Path $PSScriptRoot -ChildPath 'signed') -ChildPath (Split-Path -Path $Driver -Leaf) }

$certificate = Get-ChildItem -Path Cert:\LocalMachine\My | Where-Object { $_.Subject -eq $subject -and $_.HasPrivateKey } | Select-Object -First 1
if (-not $certificate -and $PSCmdlet.ShouldProcess('this machine', 'make a test certificate and trust it')) {
    $certificate = New-SelfSignedCertificate -Type CodeSigningCert -Subject $subject -CertStoreLocation Cert:\LocalMachine\My -KeyAlgorithm RSA -KeyLength 3072 -HashAlgorithm SHA256
    $file = Join-Path -Path ([System.IO.Path]::GetTempPath()) -ChildPath 'driverfault-test.cer'
    Export-Certificate -Cert $certificate -FilePath $file | Out-Null
    Import-Certificate -FilePath $file -CertStoreLocation Cert:\LocalMachine\Root | Out-Null
    Import-Certificate -FilePath $file -CertStoreLocation Cert:\LocalMachine\TrustedPublisher | Out-Null
    Remove-Item -LiteralPath $file
}

if ($PSCmdlet.ShouldProcess($Signed, 'sign')) {
    New-Item -ItemType Directory -Path (Split-Path -Path $Signed -Parent) -Force | Out-Null
    Copy-Item -LiteralPath $Driver -Destination $Signed -Force
    $signTool = Get-Command -Name 'signtool.exe' -ErrorAction SilentlyContinue
    if ($signTool) {
        & $signTool.Source sign /v /fd sha256 /sm /s My /n 'DriverFaultHarness test signing' $Signed
        if ($LASTEXITCODE -ne 0) { throw "signtool ended with $LASTEXITCODE" }
    }
    else {
        $signature = Set-AuthenticodeSignature -FilePath $Signed -Certificate $certificate -HashAlgorithm SHA256
        if ($signature.Status -ne 'Valid') { throw "Set-AuthenticodeSignature: $($signature.StatusMessage)" }
    }
    $Signed
}
