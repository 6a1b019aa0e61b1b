# For driverfault.ps1 and test.ps1, which dot-source it with $root set to the repository's folder.

# The dotnet of an SDK that can build this repository, or $null after saying in one line what is missing.
function Get-BuildingDotnet {
    $found = Get-Command -Name dotnet -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($null -eq $found) {
        [Console]::Error.WriteLine("driverfault: the .NET 10 SDK is needed to build, and there is no 'dotnet' on the PATH: https://dot.net/download")
        return $null
    }
    $env:DOTNET_NOLOGO = '1'
    $env:DOTNET_CLI_TELEMETRY_OPTOUT = '1'
    $env:DOTNET_SKIP_FIRST_TIME_EXPERIENCE = '1'
    $env:DOTNET_GENERATE_ASPNET_CERTIFICATE = 'false'
    Push-Location -LiteralPath $root
    try {
        # Windows PowerShell makes an error of every line that a program writes to standard error.
        $ErrorActionPreference = 'Continue'
        & $found.Source --version *> $null
        $works = $LASTEXITCODE -eq 0
    }
    finally {
        Pop-Location
    }
    if (-not $works) {
        [Console]::Error.WriteLine("driverfault: the .NET 10 SDK is needed to build, and $($found.Source) has none that global.json accepts: https://dot.net/download")
        return $null
    }
    return $found.Source
}
