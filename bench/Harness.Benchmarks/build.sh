#!/usr/bin/env bash
# Builds mix.c as the committed mix.sys: ./build.sh. Debian 12: gcc-mingw-w64-x86-64 12.2.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")"
x86_64-w64-mingw32-gcc -std=gnu11 -Wall -Wextra -Werror -Wno-builtin-declaration-mismatch -ffreestanding -fno-builtin -fno-ident -mno-stack-arg-probe -O2 \
    -nostdlib -nostartfiles -s -Wl,--subsystem,native -Wl,--entry,DriverEntry -Wl,--image-base,0x140000000 -Wl,--dynamicbase \
    -Wl,--enable-reloc-section -Wl,--no-insert-timestamp -Wl,--build-id=none -o mix.sys mix.c
