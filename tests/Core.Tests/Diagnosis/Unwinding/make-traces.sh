#!/bin/sh
# Makes frames-*.sys and frames-*.trace anew (Linux on x86-64, with gcc, mingw-w64 gcc, clang and lld). The results are committed: the
# tests themselves need none of these.
set -eu
cd "$(dirname "$0")"
step=$(mktemp)
trap 'rm -f "$step" frames.obj' EXIT
cc -O1 -w -o "$step" step.c

for level in O0 O2; do
    x86_64-w64-mingw32-gcc -$level -mno-stack-arg-probe -ffreestanding -nostdlib -shared -s \
        -Wl,--subsystem,native -Wl,--entry,DriverEntry -Wl,--no-insert-timestamp -Wl,--exclude-all-symbols -o frames-gcc-$level.sys frames.c
    clang --target=x86_64-pc-windows-msvc -$level -mno-stack-arg-probe -ffreestanding -funwind-tables -c -o frames.obj frames.c
    lld-link /driver /subsystem:native /entry:DriverEntry /nodefaultlib /timestamp:0 /out:frames-clang-$level.sys frames.obj
done

for sys in frames-*.sys; do
    "$step" "$sys" > "${sys%.sys}.trace"
done
wc -l frames-*.trace
