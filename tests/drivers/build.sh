#!/usr/bin/env bash
# Builds every test driver with every compiler, or checks that the committed ones are what these sources give.
#
#   ./build.sh [-o FOLDER]      into FOLDER/<variant>/<name>.sys; without -o into out/
#   ./build.sh --check          0 the same bytes, 1 others, 77 a compiler that built the committed files is not here
#   ./build.sh --record         builds, and records bin/
set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
. ../../driver/toolchain/toolchain.sh

readonly variants=(gcc-O0 gcc-O2 clang-O2)

usage() { fail $exit_usage "usage: [-o FOLDER] | --check | --record"; }

# myfault.sys is built here as well, so that tests can run it as each compiler makes it.
readonly myfault=(../../driver/myfault/*.c ../../driver/myfault/defects/*.c)

drivers_of() { # COMPILER
    local source
    for source in *.c exports/*.c; do
        # gcc has no C exceptions.
        [[ $1 == gcc && $source == seh*.c ]] || echo "${source%.c}"
    done
    echo myfault
}

sources_of() { # NAME
    if [[ $1 == myfault ]]; then printf '%s\n' "${myfault[@]}"; else echo "$1.c"; fi
}

build_variant() { # FOLDER VARIANT
    local compiler=${2%-*} opt=${2#*-} name
    mkdir -p "$1/$2/exports" || exit
    for name in $(drivers_of "$compiler"); do
        "build_with_$compiler" "$opt" x64 "$1/$2/$name.sys" $(sources_of "$name") || fail $exit_different "$2/$name does not build"
    done
}

list() { # FOLDER VARIANT
    (cd "$1" && sha256sum "$2"/*.sys "$2"/exports/*.sys)
}

# In a subshell for each variant, so that one missing compiler does not keep the others from being checked.
check_variant() ( # FOLDER VARIANT
    compiler=${2%-*}
    diff <(list bin "$2") <(grep "  $2/" bin/SHA256SUMS) >/dev/null || fail $exit_different "bin/$2 is not what bin/SHA256SUMS lists"
    need_versions "bin/BUILD-$compiler.txt" "$compiler" x64
    build_variant "$1" "$2"
    changed=$(diff <(list bin "$2") <(list "$1" "$2") | sed -n 's/^[<>] [0-9a-f]*  //p' | sort -u | paste -sd ' ')
    [[ -z $changed ]] || fail $exit_different "not what the sources give: $changed"
    echo "bin/$2: same bytes"
)

check() {
    local variant check status result=0 checks=()
    rebuilt=$(mktemp -d)
    trap 'rm -rf "$rebuilt"' EXIT
    for variant in "${variants[@]}"; do
        check_variant "$rebuilt" "$variant" &
        checks+=($!)
    done

    for check in "${checks[@]}"; do
        wait "$check"
        status=$?
        ((status == 0 || result == exit_different)) || result=$status
    done
    return $result
}

record() {
    local variant compiler
    # Nothing that is committed goes before everything is built.
    rebuilt=$(mktemp -d)
    trap 'rm -rf "$rebuilt"' EXIT
    for variant in "${variants[@]}"; do
        build_variant "$rebuilt" "$variant"
    done
    rm -rf bin
    cp -r "$rebuilt" bin
    chmod 755 bin
    for variant in "${variants[@]}"; do list bin "$variant"; done >bin/SHA256SUMS
    for compiler in gcc clang; do
        {
            toolchain_versions "$compiler" x64
            echo "command: ./build.sh --record"
        } >"bin/BUILD-$compiler.txt"
    done
}

case ${1-}:$# in
    --check:1) check; exit ;;
    --record:1) record; exit ;;
    -o:2) [[ $2 == /* ]] && folder=$2 || folder=$OLDPWD/$2 ;;
    :0) folder=$PWD/out ;;
    *) usage ;;
esac

for variant in "${variants[@]}"; do
    build_variant "$folder" "$variant"
done
echo "$folder"
