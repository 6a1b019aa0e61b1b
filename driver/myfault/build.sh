#!/usr/bin/env bash
# Builds myfault.sys, or checks that the committed one is what these sources give.
#
#   ./build.sh [--compiler gcc|clang] [--opt O0|O2] [--arch x64|x86] [-o OUT]
#   ./build.sh --check          0 the same bytes, 1 others, 77 the compiler that built the committed file is not here
#   ./build.sh --record         builds, and records bin/x64/
set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit
. ../toolchain/toolchain.sh

readonly sources=(*.c defects/*.c)
readonly binary=bin/x64/myfault.sys

usage() { fail $exit_usage "usage: [--compiler gcc|clang] [--opt O0|O2] [--arch x64|x86] [-o OUT] | --check | --record"; }

build() { # COMPILER OPT ARCH OUT
    "build_with_$1" "$2" "$3" "$4" "${sources[@]}"
}

check() {
    (cd bin/x64 && sha256sum --quiet -c myfault.sys.sha256) || fail $exit_different "$binary is not the file that myfault.sys.sha256 names"
    need_versions bin/x64/BUILD.txt gcc x64
    rebuilt=$(mktemp -d)
    trap 'rm -rf "$rebuilt"' EXIT
    build gcc O2 x64 "$rebuilt/myfault.sys" || exit
    cmp "$rebuilt/myfault.sys" "$binary" || fail $exit_different "$binary is not what the sources give"
    echo "$binary: same bytes"
}

record() {
    mkdir -p bin/x64
    build gcc O2 x64 "$binary" || exit
    (cd bin/x64 && sha256sum myfault.sys >myfault.sys.sha256)
    {
        toolchain_versions gcc x64
        echo "command: ./build.sh --compiler gcc --opt O2 --arch x64 -o $binary"
    } >bin/x64/BUILD.txt
}

here=$OLDPWD
compiler=gcc opt=O2 arch=x64 out=
case ${1-} in
    --check) check; exit ;;
    --record) record; exit ;;
esac

while (($#)); do
    (($# > 1)) || usage
    case $1:$2 in
        --compiler:gcc | --compiler:clang) compiler=$2 ;;
        --opt:O0 | --opt:O2) opt=$2 ;;
        --arch:x64 | --arch:x86) arch=$2 ;;
        -o:*) out=$2 ;;
        *) usage ;;
    esac
    shift 2
done

# -o is meant from where the caller stands.
[[ $out == /* || -z $out ]] || out=$here/$out
[[ -n $out ]] || { mkdir -p out && out=$PWD/out/myfault-$compiler-$opt-$arch.sys; }
build "$compiler" "$opt" "$arch" "$out" && echo "$out"
