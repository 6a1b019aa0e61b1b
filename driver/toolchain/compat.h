/*
 * What the WDK's <wdm.h> has and the mingw-w64 DDK's lacks, so that the same sources build with both.
 */

#pragma once

#include <wdm.h>

#if defined(__MINGW32__) || defined(__MINGW64_VERSION_MAJOR)

#include <concurrencysal.h>
#include <driverspecs.h>
#include <sal.h>

#define _Dispatch_type_(Major)

#endif
