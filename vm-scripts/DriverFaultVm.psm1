# What the scripts beside share: clear failures, credentials, sessions into the guest, and answers to whoever started a step.
#Requires -Version 5.1
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

# Ends with a failure that has a code ('noSuchVm') and one sentence for the user. -Again: the same may succeed later.
function Stop-WithReason {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [string] $Code, [Parameter(Mandatory)] [string] $Says, [switch] $Again)
    $category = if ($Again) { [Management.Automation.ErrorCategory]::ResourceUnavailable } else { [Management.Automation.ErrorCategory]::NotSpecified }
    throw (New-Object -TypeName System.Management.Automation.ErrorRecord -ArgumentList (New-Object -TypeName System.InvalidOperationException -ArgumentList $Says), $Code, $category, $null)
}

# What a caught error is to whoever asked: 'ok', 'error', 'says', 'again'. An error of somebody else's may go away.
function ConvertTo-Answer {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [Management.Automation.ErrorRecord] $Failure)
    $codes = 'noHyperV', 'notElevated', 'noSuchVm', 'noCheckpoint', 'noCredential', 'wrongCredential', 'noIntegrationServices', 'guestGone', 'timeout', 'failed'
    $code = ($Failure.FullyQualifiedErrorId -split ',')[0]
    if ($codes -contains $code) {
        return [pscustomobject] @{ ok = $false; error = $code; says = $Failure.Exception.Message; again = $Failure.CategoryInfo.Category -eq 'ResourceUnavailable' }
    }
    return [pscustomobject] @{ ok = $false; error = 'failed'; says = $Failure.Exception.Message; again = $true }
}

# The answer of a step: one line of ASCII, whatever code page the console has.
function Write-Answer {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [psobject] $Answer)
    $json = ConvertTo-Json -InputObject $Answer -Compress
    [Console]::Out.WriteLine('driverfault:' + [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($json)))
}

# This PowerShell may manage Hyper-V, and the virtual machine is there.
function Assert-VirtualMachine {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [string] $VMName)
    Assert-Host
    # -Name takes wildcards, here and in what turns machines off; and Hyper-V lets two machines have one name.
    $found = @(Get-VM -Name $VMName -ErrorAction SilentlyContinue)
    if ($found.Count -gt 1) { Stop-WithReason -Code 'noSuchVm' -Says "'$VMName' is $($found.Count) virtual machines of this host; name one, without wildcards" }
    if ($found.Count -eq 0 -or $found[0].Name -ne $VMName) { Stop-WithReason -Code 'noSuchVm' -Says "there is no virtual machine '$VMName' on this host; Get-VM lists them, New-HarnessVm.ps1 makes one" }
}

# This PowerShell may manage Hyper-V.
function Assert-Host {
    [CmdletBinding()]
    param()
    $identity = New-Object -TypeName Security.Principal.WindowsPrincipal -ArgumentList ([Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $identity.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) { Stop-WithReason -Code 'notElevated' -Says 'this needs an elevated PowerShell: run it as administrator' }
    $service = Get-Service -Name 'vmms' -ErrorAction SilentlyContinue
    if ($null -eq $service -or $null -eq (Get-Command -Name 'Get-VM' -ErrorAction SilentlyContinue)) {
        Stop-WithReason -Code 'noHyperV' -Says 'the Hyper-V role is not on this host: Enable-WindowsOptionalFeature -Online -FeatureName Microsoft-Hyper-V -All, then restart'
    }
    if ($service.Status -ne 'Running') { Stop-WithReason -Code 'noHyperV' -Says 'the Hyper-V service (vmms) is not running' }
}

# The checkpoint to go back to.
function Assert-Checkpoint {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [string] $VMName, [Parameter(Mandatory)] [string] $Checkpoint)
    $found = @(Get-VMSnapshot -VMName $VMName -Name $Checkpoint -ErrorAction SilentlyContinue)
    if ($found.Count -gt 1) { Stop-WithReason -Code 'noCheckpoint' -Says "'$VMName' has $($found.Count) checkpoints '$Checkpoint', and one is needed" }
    if ($found.Count -eq 0) { Stop-WithReason -Code 'noCheckpoint' -Says "'$VMName' has no checkpoint '$Checkpoint'; Initialize-HarnessVm.ps1 makes it" }
}

# The guest's administrator: from the file that Export-Clixml wrote (only its writer, on this host, can read it), else from the secret store. Never asked for and never told.
function Get-GuestCredential {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [string] $Machine)
    $path = Get-CredentialPath -Machine $Machine
    if (Test-Path -LiteralPath $path -PathType Leaf) {
        try { $credential = Import-Clixml -LiteralPath $path }
        catch { Stop-WithReason -Code 'noCredential' -Says "$path cannot be read: $($_.Exception.Message); only the user who wrote it can, and only on this host" }
        if ($credential -is [pscredential]) { return $credential }
        Stop-WithReason -Code 'noCredential' -Says "$path holds no credential; Get-Credential | Export-Clixml -Path writes one"
    }
    if ($null -ne (Get-Command -Name 'Get-Secret' -ErrorAction SilentlyContinue)) {
        $secret = Get-Secret -Name "DriverFaultHarness-$Machine" -ErrorAction SilentlyContinue
        if ($secret -is [pscredential]) { return $secret }
    }
    Stop-WithReason -Code 'noCredential' -Says "there is no credential for '$Machine': neither $path nor a secret 'DriverFaultHarness-$Machine'"
}

# Where the credential of a machine is.
function Get-CredentialPath {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [string] $Machine)
    return Join-Path -Path $env:LOCALAPPDATA -ChildPath "DriverFaultHarness\$Machine.credential.xml"
}

# A session in the guest: PowerShell Direct into a virtual machine, WinRM to another computer.
function New-GuestSession {
    [CmdletBinding()]
    param([string] $VMName, [string] $ComputerName)
    $machine = if ($VMName) { $VMName } else { $ComputerName }
    $credential = Get-GuestCredential -Machine $machine
    try {
        if ($VMName) { return New-PSSession -VMName $VMName -Credential $credential }
        return New-PSSession -ComputerName $ComputerName -Credential $credential
    }
    catch {
        # PowerShell Direct has no error of its own for it; where the host speaks another language it is told as any other failure.
        if ($_.Exception.Message -match 'credential is invalid|password is incorrect|Access is denied') { Stop-WithReason -Code 'wrongCredential' -Says "'$machine' refuses the credential in $(Get-CredentialPath -Machine $machine)" }
        Stop-WithReason -Code 'guestGone' -Says "no session with '$machine': $($_.Exception.Message)" -Again
    }
}

# Waits until the guest takes commands and has written the kernel dump of the boot before, if that one ended in a bug check. Output: which boot this is, and whether there is a kernel dump.
function Wait-Guest {
    [CmdletBinding()]
    param([string] $VMName, [string] $ComputerName, [Parameter(Mandatory)] [int] $TimeoutSeconds)
    $machine = if ($VMName) { $VMName } else { $ComputerName }
    $until = [DateTime]::UtcNow.AddSeconds($TimeoutSeconds)
    $last = 'it was not tried'
    $guest = $null
    while ([DateTime]::UtcNow -lt $until) {
        $session = $null
        try {
            $session = New-GuestSession -VMName $VMName -ComputerName $ComputerName
            $guest = Invoke-Command -Session $session -ScriptBlock {
                $file = 'C:\Windows\MEMORY.DMP'
                $dump = Test-Path -LiteralPath $file -PathType Leaf
                # The Session Manager makes this key, until the next boot, when it finds a dump in the paging file. The dump becomes a file of its own while the guest already takes commands.
                $coming = -not $dump -and (Test-Path -LiteralPath 'HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl\MachineCrash')
                if ($dump) {
                    try { ([IO.File]::Open($file, 'Open', 'Read', 'None')).Dispose() }
                    catch [IO.IOException] { $coming = $true }
                }
                # LastBootUpTime moves when the clock is set; when a process began does not.
                $began = (Get-CimInstance -ClassName Win32_Process -Filter "Name = 'lsass.exe'" | Select-Object -First 1).CreationDate
                [pscustomobject] @{ boot = $began.ToUniversalTime().ToString('o'); dump = $dump -and -not $coming; coming = $coming }
            }
            if (-not $guest.coming) { return $guest }
            $last = 'it is still writing its kernel dump'
        }
        catch {
            if (($_.FullyQualifiedErrorId -split ',')[0] -in 'noCredential', 'wrongCredential') { throw }
            $last = $_.Exception.Message
        }
        finally {
            if ($null -ne $session) { Remove-PSSession -Session $session }
        }
        Start-Sleep -Seconds 3
    }
    # A dump that does not come, for want of space on the guest's disk.
    if ($null -ne $guest) { return $guest }
    if ($VMName) {
        $vm = Get-VM -Name $VMName
        if ($vm.State -ne 'Running') { Stop-WithReason -Code 'timeout' -Says "'$VMName' is not running any more: its state is $($vm.State)" -Again }
        if ($vm.Heartbeat -in 'NoContact', 'Disabled') { Stop-WithReason -Code 'noIntegrationServices' -Says "'$VMName' runs, and its integration services have not answered for $TimeoutSeconds s (heartbeat $($vm.Heartbeat)): it did not boot, or has none" }
    }
    Stop-WithReason -Code 'timeout' -Says "'$machine' did not take commands for $TimeoutSeconds s: $last" -Again
}

# Restarts another computer, by WinRM alone, and waits until its next boot takes commands.
function Restart-Guest {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory)] [string] $ComputerName, [Parameter(Mandatory)] [int] $TimeoutSeconds)
    if (-not $PSCmdlet.ShouldProcess($ComputerName, 'restart')) { return }
    $until = [DateTime]::UtcNow.AddSeconds($TimeoutSeconds)
    $before = Wait-Guest -ComputerName $ComputerName -TimeoutSeconds $TimeoutSeconds
    $session = New-GuestSession -ComputerName $ComputerName
    # It says so itself: from here Windows PowerShell would ask by DCOM, for which Enable-PSRemoting opens nothing.
    try { Invoke-Command -Session $session -ScriptBlock { Restart-Computer -Force } }
    finally { Remove-PSSession -Session $session }
    # Until it goes down it still answers.
    while ([DateTime]::UtcNow -lt $until) {
        Start-Sleep -Seconds 3
        $now = Wait-Guest -ComputerName $ComputerName -TimeoutSeconds $TimeoutSeconds
        if ($now.boot -ne $before.boot) { return }
    }
    Stop-WithReason -Code 'timeout' -Says "'$ComputerName' did not restart within $TimeoutSeconds s" -Again
}

# Copies a folder's content into the guest, over what is there.
function Copy-ToGuest {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [Management.Automation.Runspaces.PSSession] $Session, [Parameter(Mandatory)] [string] $Source, [Parameter(Mandatory)] [string] $Destination)
    Invoke-Command -Session $Session -ScriptBlock { [void] (New-Item -ItemType Directory -Force -Path $using:Destination) }
    foreach ($entry in @(Get-ChildItem -LiteralPath $Source -Force)) { Copy-Item -LiteralPath $entry.FullName -Destination $Destination -ToSession $Session -Recurse -Force }
}

# Copies a file, or a folder's content, of the guest to the host.
function Copy-FromGuest {
    [CmdletBinding()]
    param([Parameter(Mandatory)] [Management.Automation.Runspaces.PSSession] $Session, [Parameter(Mandatory)] [string] $Source, [Parameter(Mandatory)] [string] $Destination)
    $kind = Invoke-Command -Session $Session -ScriptBlock {
        if (Test-Path -LiteralPath $using:Source -PathType Container) { 'folder' } elseif (Test-Path -LiteralPath $using:Source -PathType Leaf) { 'file' } else { 'nothing' }
    }
    if ($kind -eq 'nothing') { Stop-WithReason -Code 'failed' -Says "the guest has no $Source" }
    if ($kind -eq 'file') {
        Copy-Item -LiteralPath $Source -Destination $Destination -FromSession $Session -Force
        return
    }
    [void] (New-Item -ItemType Directory -Force -Path $Destination)
    foreach ($entry in @(Invoke-Command -Session $Session -ScriptBlock { Get-ChildItem -LiteralPath $using:Source -Force | ForEach-Object { $_.FullName } })) {
        Copy-Item -LiteralPath $entry -Destination $Destination -FromSession $Session -Recurse -Force
    }
}

# Back to the checkpoint, turned off.
function Restore-Checkpoint {
    [CmdletBinding(SupportsShouldProcess)]
    param([Parameter(Mandatory)] [string] $VMName, [Parameter(Mandatory)] [string] $Checkpoint)
    Assert-Checkpoint -VMName $VMName -Checkpoint $Checkpoint
    if (-not $PSCmdlet.ShouldProcess($VMName, "go back to the checkpoint '$Checkpoint', which loses everything since")) { return }
    # A guest that hangs cannot be shut down.
    if ((Get-VM -Name $VMName).State -ne 'Off') { Stop-VM -Name $VMName -TurnOff -Force }
    Restore-VMSnapshot -VMName $VMName -Name $Checkpoint -Confirm:$false
    if ((Get-VM -Name $VMName).State -ne 'Off') { Stop-VM -Name $VMName -TurnOff -Force }
}

Export-ModuleMember -Function 'Stop-WithReason', 'ConvertTo-Answer', 'Write-Answer', 'Assert-Host', 'Assert-VirtualMachine', 'Assert-Checkpoint', 'Get-GuestCredential', 'New-GuestSession', 'Wait-Guest', 'Restart-Guest', 'Copy-ToGuest', 'Copy-FromGuest', 'Restore-Checkpoint'
