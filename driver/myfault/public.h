/*
 * MyFault's interface, for the driver and for programs that open it.
 *
 * Includes nothing: a program includes <windows.h> and <winioctl.h> first, the driver <wdm.h>.
 * All control codes are METHOD_BUFFERED and need no particular access. PEND, HANG_IRP and NOOP_CANCEL can be sent as reads and
 * writes too, of any length: the byte offset is the control code. Their buffer is left alone; any other offset is
 * STATUS_INVALID_PARAMETER.
 */

#pragma once

#define MYFAULT_DEVICE_NAME L"\\Device\\MyFault"
#define MYFAULT_LINK_NAME L"\\DosDevices\\MyFault"
#define MYFAULT_WIN32_NAME L"\\\\.\\MyFault"

/*
 * A file below the device, and a defect: its IRP_MJ_CREATE is pended, and only RELEASE (STATUS_SUCCESS) ends it. Files of any
 * other name are opened at once.
 */
#define MYFAULT_HANG_CREATE_NAME L"\\hang-create"

#define MYFAULT_VERSION 2

/*
 * Completes at once. Input: up to MYFAULT_ECHO_MAXIMUM bytes. Output: the same bytes, as many as fit.
 */
#define MYFAULT_IOCTL_ECHO CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

#define MYFAULT_ECHO_MAXIMUM 4096

/*
 * The sound way to wait: pended in a cancel-safe queue, until it is cancelled (STATUS_CANCELLED), its handle is closed
 * (STATUS_CANCELLED) or RELEASE comes (STATUS_SUCCESS). No input, no output.
 */
#define MYFAULT_IOCTL_PEND CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS)

/*
 * The defect: pended without a cancel routine, so only RELEASE (STATUS_SUCCESS) ends it. No input, no output.
 */
#define MYFAULT_IOCTL_HANG_IRP CTL_CODE(FILE_DEVICE_UNKNOWN, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS)

/*
 * Completes everything that waits, whoever sent it. No input. Output: MYFAULT_RELEASED.
 */
#define MYFAULT_IOCTL_RELEASE CTL_CODE(FILE_DEVICE_UNKNOWN, 0x803, METHOD_BUFFERED, FILE_ANY_ACCESS)

/*
 * No input. Output: MYFAULT_COUNTS.
 */
#define MYFAULT_IOCTL_QUERY CTL_CODE(FILE_DEVICE_UNKNOWN, 0x804, METHOD_BUFFERED, FILE_ANY_ACCESS)

/*
 * A defect: pended with a cancel routine that completes nothing, so only RELEASE (STATUS_SUCCESS) ends it. No input, no output.
 */
#define MYFAULT_IOCTL_NOOP_CANCEL CTL_CODE(FILE_DEVICE_UNKNOWN, 0x805, METHOD_BUFFERED, FILE_ANY_ACCESS)

typedef struct _MYFAULT_RELEASED {
    ULONG Completed; /* by this RELEASE: PENDs and defects together */
} MYFAULT_RELEASED;

typedef struct _MYFAULT_COUNTS {
    ULONG Version;   /* MYFAULT_VERSION */
    ULONG Pended;    /* PENDs that wait now */
    ULONG Held;      /* IRPs that defects hold now */
    ULONG Echoed;    /* ECHOs completed since the driver was loaded */
    ULONG Cancelled; /* PENDs completed with STATUS_CANCELLED since then */
    ULONG Released;  /* IRPs completed by RELEASE since then */
} MYFAULT_COUNTS;
