#!/bin/sh
# Makes the PDBs of this folder anew (clang and lld). They are committed: the tests themselves need neither.
set -eu
cd "$(dirname "$0")"
trap 'rm -f ./*.obj ./*.exe' EXIT

make_pdb() { # NAME SOURCE FLAG…
    name=$1 source=$2
    shift 2
    clang --target=x86_64-pc-windows-msvc -O1 -g -gcodeview -ffreestanding -fno-standalone-debug -fdebug-compilation-dir=. -fcoverage-compilation-dir=. "$@" -c -o "$name.obj" "$source"
    lld-link /nologo /driver /subsystem:native /entry:"$entry" /nodefaultlib /Brepro /debug /pdbsourcepath:. /out:"$name.exe" /pdb:"$name.pdb" "$name.obj"
}

entry=KeWaitForSingleObject
make_pdb ntkrnlmp-19041 nt.c
make_pdb ntkrnlmp-moved nt.c -DMOVED=0x40
entry=DriverEntry
make_pdb sample sample.cpp
