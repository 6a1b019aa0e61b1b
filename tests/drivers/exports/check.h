/*
 * Drivers that call what nt exports in DriverEntry, and say with DbgPrint what came of each call:
 * "ok <expression>" or "BAD <expression>", and "done <number>" at the end.
 */

#pragma once

/* nt has sprintf itself. */
#undef __USE_MINGW_ANSI_STDIO
#define __USE_MINGW_ANSI_STDIO 0

#include <ntifs.h>

#include "../device.h"

#define TEST_TAG 0x54736554

/* These formats are the kernel's, not GNU's. */
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-extra-args"

static ULONG Checks;
static ULONG Failures;

static inline VOID Check(_In_ BOOLEAN Holds, _In_z_ PCSTR Expression)
{
    Checks++;
    if (!Holds) {
        Failures++;
    }

    DbgPrint("%s %s\n", Holds ? "ok" : "BAD", Expression);
}

#define CHECK(Expression) Check((Expression) ? TRUE : FALSE, #Expression)

static inline NTSTATUS Finish(VOID)
{
    DbgPrint("done %lu\n", Checks);
    return Failures == 0 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
