# For driverfault, test and .ci/run, which source it with $root set to the repository's folder. After need_dotnet, $dotnet is an SDK that can
# build this repository and the environment is one it can work in.

say() { printf '%s\n' "$*" >&2; }

find_dotnet() {
    for dotnet in "$(command -v dotnet 2>/dev/null)" "${DOTNET_ROOT:-}/dotnet" "${HOME:-}/.dotnet/dotnet" /usr/share/dotnet/dotnet /usr/lib/dotnet/dotnet /usr/local/share/dotnet/dotnet; do
        if [ -x "$dotnet" ] && [ ! -d "$dotnet" ]; then return 0; fi
    done
    dotnet=
    return 1
}

need_dotnet() {
    if ! find_dotnet; then
        say "driverfault: the .NET 10 SDK is needed to build, and there is no 'dotnet' on the PATH: https://dot.net/download"
        return 1
    fi
    own_home_when_there_is_none
    export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SKIP_FIRST_TIME_EXPERIENCE=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false
    if ! (cd "$root" && "$dotnet" --version) >/dev/null 2>&1; then
        say "driverfault: the .NET 10 SDK is needed to build, and $dotnet has none that global.json accepts: https://dot.net/download"
        return 1
    fi
}

# dotnet and NuGet keep files under HOME. A service account or a container may have none, or one that cannot be written.
own_home_when_there_is_none() {
    if [ -n "${HOME:-}" ] && [ -d "$HOME" ] && [ -w "$HOME" ]; then return; fi
    own="$root/artifacts/home"
    mkdir -p "$own/.nuget/NuGet"
    if [ -r "${HOME:-}/.nuget/NuGet/NuGet.Config" ]; then cp "$HOME/.nuget/NuGet/NuGet.Config" "$own/.nuget/NuGet/NuGet.Config"; fi
    export HOME="$own"
}
