/*
 * Read before every source that clang builds. mingw-w64's <wdm.h> defines these two as static after its <intrin.h> declared them
 * external; clang keeps the first linkage and would emit them in every object.
 */

#pragma once

#include <intrin.h>

#define InterlockedBitTestAndSet WdmInterlockedBitTestAndSet
#define InterlockedBitTestAndReset WdmInterlockedBitTestAndReset
