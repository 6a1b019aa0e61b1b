#!/usr/bin/env bash
# Builds functions.c as the committed *.sys beside it: ./build.sh. Debian 12: gcc-mingw-w64-x86-64 12.2, clang and lld 14.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")"

flags=(-std=gnu11 -Wall -Wextra -Werror -ffreestanding -fno-builtin -fno-ident -mno-stack-arg-probe)
gcc_link=(-nostdlib -nostartfiles -s -Wl,--subsystem,native -Wl,--entry,DriverEntry -Wl,--image-base,0x140000000
    -Wl,--dynamicbase -Wl,--enable-reloc-section -Wl,--no-insert-timestamp -Wl,--build-id=none)

for opt in O0 O2 O3 Os; do
    extra=()
    # Os: string instructions in place of calls; O3: all of SSE4.2.
    [[ $opt == Os ]] && extra=(-mno-red-zone -minline-all-stringops)
    [[ $opt == O3 ]] && extra=(-msse4.2 -mpopcnt)
    x86_64-w64-mingw32-gcc -Wno-builtin-declaration-mismatch "${flags[@]}" "${extra[@]}" "-$opt" "${gcc_link[@]}" -o "functions-gcc-$opt.sys" functions.c
done
for opt in O0 O2; do
    clang --target=x86_64-pc-windows-msvc "${flags[@]}" "-$opt" -c -o functions.obj functions.c
    lld-link /nologo /driver /entry:DriverEntry /subsystem:native /base:0x140000000 /nodefaultlib /Brepro "/out:functions-clang-$opt.sys" functions.obj
    rm functions.obj
    rm -f "functions-clang-$opt.lib"
done
