# How a driver is compiled and linked away from Windows, for driver/myfault/build.sh and tests/drivers/build.sh. Sourced by bash.
#
# The same sources give the same bytes, whatever folder they lie in: paths are relative to the folder of the sources, the image has no
# timestamp, no debug directory and no symbols.

# One order of sorting, so that *.c links in the same order everywhere, and one language of the tools.
export LC_ALL=C

toolchain_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

readonly exit_different=1
readonly exit_usage=2
readonly exit_no_compiler=77

fail() { # STATUS MESSAGE
    echo "${0##*/}: $2" >&2
    exit "$1"
}

need() { # PROGRAM…
    local program
    for program; do
        command -v "$program" >/dev/null || fail $exit_no_compiler "$program is missing"
    done
}

mingw_target() { # x64|x86
    case $1 in
        x64) echo x86_64-w64-mingw32 ;;
        x86) echo i686-w64-mingw32 ;;
    esac
}

# Where the mingw-w64 headers of an architecture are; both compilers use them.
mingw_include() { # x64|x86
    local target library
    target=$(mingw_target "$1")
    need "$target-gcc"
    library=$("$target-gcc" -print-file-name=libntoskrnl.a)
    [[ -f $library ]] || fail $exit_no_compiler "libntoskrnl.a of $target is missing"
    (cd "$(dirname "$library")/../include" && pwd)
}

# Three lines that say what builds: compiler, linker, headers.
toolchain_versions() { # gcc|clang x64|x86
    local include target
    include=$(mingw_include "$2") || exit
    target=$(mingw_target "$2")
    case $1 in
        gcc)
            need "$target-gcc" "$target-ld"
            echo "compiler: $("$target-gcc" --version | head -n 1)"
            echo "linker: $("$target-ld" --version | head -n 1)"
            ;;
        clang)
            need clang lld-link llvm-dlltool
            echo "compiler: $(clang --version | head -n 1)"
            echo "linker: $(lld-link --version | head -n 1)"
            ;;
    esac
    echo "headers: mingw-w64 $(echo __MINGW64_VERSION_STR | "$target-gcc" -E -P -include _mingw.h - | tail -n 1 | tr -d ' "')"
    [[ -f $include/ddk/wdm.h ]] || fail $exit_no_compiler "ddk/wdm.h is missing from the mingw-w64 headers"
}

# Stops with 77 where the tools here are not those that a file of `toolchain_versions` lines names.
need_versions() { # FILE gcc|clang x64|x86
    local versions line
    versions=$(toolchain_versions "$2" "$3") || exit
    while IFS= read -r line; do
        grep -qxF -- "$line" "$1" || fail $exit_no_compiler "the binaries were built with '$(grep "^${line%%:*}: " "$1" | paste -sd '|')', here is '$line'"
    done <<<"$versions"
}

common_flags() { # O0|O2
    echo -std=gnu11 -"$1" -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-ident -mno-stack-arg-probe \
        -D_WIN32_WINNT=0x0A00 -DNTDDI_VERSION=0x0A000000
}

build_with_gcc() { # O0|O2 x64|x86 OUT SOURCE…
    local opt=$1 arch=$2 out=$3 include target entry base
    shift 3
    include=$(mingw_include "$arch") || exit
    target=$(mingw_target "$arch")
    case $arch in
        x64) entry=DriverEntry base=0x140000000 ;;
        x86) entry=_DriverEntry@8 base=0x10000 ;;
    esac

    # --enable-reloc-section: a driver is loaded wherever the kernel has room.
    # shellcheck disable=SC2046
    "$target-gcc" $(common_flags "$opt") -isystem "$include/ddk" -nostdlib -nostartfiles -s -o "$out" "$@" \
        -Wl,--subsystem,native:10.0 -Wl,--major-os-version,10 -Wl,--entry,"$entry" -Wl,--image-base,"$base" \
        -Wl,--dynamicbase -Wl,--enable-reloc-section -Wl,--nxcompat -Wl,--exclude-all-symbols \
        -Wl,--no-insert-timestamp -Wl,--build-id=none -lntoskrnl -lhal
}

# clang for MSVC's target has MSVC's calling convention, .pdata, stack cookie and __try; the mingw headers want to hear of a GNU compiler.
compile_with_clang() { # O0|O2 OUT SOURCE
    local include
    include=$(mingw_include x64) || exit
    # shellcheck disable=SC2046
    clang --target=x86_64-pc-windows-msvc -fgnuc-version=12 -include "$toolchain_folder/clang.h" $(common_flags "$1") \
        -fasynchronous-unwind-tables -fstack-protector-strong -isystem "$include/ddk" -isystem "$include" -c -o "$2" "$3"
}

link_with_lld() { # OUT OBJECT-OR-LIBRARY…
    local out=$1
    shift
    # /Brepro: a hash of the image instead of a timestamp.
    lld-link /nologo /driver /entry:GsDriverEntry /subsystem:native,10.00 /osversion:10.0 /base:0x140000000 \
        /dynamicbase /highentropyva /nxcompat /nodefaultlib /incremental:no /Brepro "/out:$out" "$@"
}

build_with_clang() ( # O0|O2 x64 OUT SOURCE…
    opt=$1 arch=$2 out=$3
    shift 3
    [[ $arch == x64 ]] || fail $exit_usage "clang builds x64 only"
    need clang lld-link llvm-dlltool
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT

    objects=()
    for source in "$@" "$toolchain_folder/gs.c"; do
        object=$(basename "$source" .c).obj
        compile_with_clang "$opt" "$folder/$object" "$source" || exit
        objects+=("$object")
    done

    compile_with_clang "$opt" "$folder/fltused.obj" "$toolchain_folder/fltused.c" || exit
    llvm-dlltool -m i386:x86-64 -d "$toolchain_folder/ntoskrnl.def" -l "$folder/ntoskrnl.lib" || exit
    (cd "$folder" && link_with_lld linked.sys "${objects[@]}" ntoskrnl.lib /start-lib fltused.obj /end-lib) || exit
    mv "$folder/linked.sys" "$out"
)
