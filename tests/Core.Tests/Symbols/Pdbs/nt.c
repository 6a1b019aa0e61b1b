/*
 * Stands for ntkrnlmp: build.sh makes PDBs of it as a linker leaves them. Routines lie where the tests' fake kernel has them (FakeKernel.cs), and
 * structures have the offsets of nt-offsets.json's row 19041, or with MOVED those of a build that is in no table.
 */
#ifndef MOVED
#define MOVED 0
#endif

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

/* A field at an offset, whatever lies beside it. Compilers tell debuggers the members of unnamed unions and structures as the outer one's own. */
#define AT(offset, type, name) struct { u8 before_##name[offset]; type name; };
#define BITS(offset, type, first, count, name) struct { u8 before_##name[offset]; type skipped_##name : first; type name : count; };
#define SIZE(bytes) u8 all[bytes];


struct _KPROCESS {
    union {
        AT(0x28, u8, DirectoryTableBase)
        AT(0x30, u8, ThreadListHead)
        AT(0x388, u8, UserDirectoryTableBase)
        SIZE(0x438)
    };
};

struct _EPROCESS {
    union {
        AT(0x440 + MOVED, u8, UniqueProcessId)
        AT(0x448 + MOVED, u8, ActiveProcessLinks)
        AT(0x458 + MOVED, u8, RundownProtect)
        AT(0x460 + MOVED, u8, Flags2)
        AT(0x464 + MOVED, u8, Flags)
        AT(0x468 + MOVED, u8, CreateTime)
        AT(0x4b8 + MOVED, u8, Token)
        AT(0x518 + MOVED, u8, SectionObject)
        AT(0x540 + MOVED, u8, InheritedFromUniqueProcessId)
        AT(0x550 + MOVED, u8, Peb)
        AT(0x570 + MOVED, u8, ObjectTable)
        AT(0x5a0 + MOVED, u8, ImageFilePointer)
        AT(0x5a8 + MOVED, u8, ImageFileName)
        AT(0x5e0 + MOVED, u8, ThreadListHead)
        AT(0x5f0 + MOVED, u8, ActiveThreads)
        AT(0x7d4 + MOVED, u8, ExitStatus)
        AT(0x7d8 + MOVED, u8, VadRoot)
        AT(0x840 + MOVED, u8, ExitTime)
        AT(0x87c + MOVED, u8, Flags3)
        SIZE(0xa40 + MOVED)
    };
};

struct _KTHREAD {
    union {
        AT(0x0, u8, Header)
        AT(0x28 + MOVED / 2, u8, InitialStack)
        AT(0x30 + MOVED / 2, u8, StackLimit)
        AT(0x38 + MOVED / 2, u8, StackBase)
        AT(0x58 + MOVED / 2, u8, KernelStack)
        AT(0x71 + MOVED / 2, u8, Running)
        AT(0x72 + MOVED / 2, u8, Alerted)
        BITS(0x74 + MOVED / 2, u32, 4, 1, Alertable)
        AT(0x74 + MOVED / 2, u8, MiscFlags)
        AT(0x78 + MOVED / 2, u8, ThreadFlags)
        BITS(0x78 + MOVED / 2, u32, 17, 1, KernelStackResident)
        AT(0x80 + MOVED / 2, u8, SystemCallNumber)
        AT(0x88 + MOVED / 2, u8, FirstArgument)
        AT(0x90 + MOVED / 2, u8, TrapFrame)
        AT(0x98 + MOVED / 2, u8, ApcState)
        AT(0xc3 + MOVED / 2, u8, Priority)
        AT(0xc8 + MOVED / 2, u8, WaitStatus)
        AT(0xd0 + MOVED / 2, u8, WaitBlockList)
        AT(0xf0 + MOVED / 2, u8, Teb)
        AT(0x140 + MOVED / 2, u8, WaitBlock)
        AT(0x154 + MOVED / 2, u8, ContextSwitches)
        AT(0x184 + MOVED / 2, u8, State)
        AT(0x186 + MOVED / 2, u8, WaitIrql)
        AT(0x187 + MOVED / 2, u8, WaitMode)
        AT(0x1b4 + MOVED / 2, u8, WaitTime)
        AT(0x1e4 + MOVED / 2, u8, KernelApcDisable)
        AT(0x1e4 + MOVED / 2, u8, CombinedApcDisable)
        AT(0x1e6 + MOVED / 2, u8, SpecialApcDisable)
        AT(0x220 + MOVED / 2, u8, Process)
        AT(0x232 + MOVED / 2, u8, PreviousMode)
        AT(0x24b + MOVED / 2, u8, WaitBlockCount)
        AT(0x258 + MOVED / 2, u8, SavedApcState)
        AT(0x283 + MOVED / 2, u8, WaitReason)
        AT(0x284 + MOVED / 2, u8, SuspendCount)
        AT(0x28c + MOVED / 2, u8, KernelTime)
        AT(0x2dc + MOVED / 2, u8, UserTime)
        AT(0x2f8 + MOVED / 2, u8, ThreadListEntry)
        SIZE(0x430 + MOVED / 2)
    };
};

struct _ETHREAD {
    union {
        AT(0x430 + MOVED, u8, CreateTime)
        AT(0x438 + MOVED, u8, ExitTime)
        AT(0x450 + MOVED, u8, StartAddress)
        AT(0x478 + MOVED, u8, Cid)
        AT(0x4b0 + MOVED, u8, IrpList)
        AT(0x4c0 + MOVED, u8, TopLevelIrp)
        AT(0x4c8 + MOVED, u8, DeviceToVerify)
        AT(0x4d0 + MOVED, u8, Win32StartAddress)
        AT(0x4e8 + MOVED, u8, ThreadListEntry)
        AT(0x4f8 + MOVED, u8, RundownProtect)
        AT(0x510 + MOVED, u8, CrossThreadFlags)
        AT(0x548 + MOVED, u8, ExitStatus)
        AT(0x588 + MOVED, u8, IrpListLock)
        SIZE(0x898 + MOVED)
    };
};

struct _KAPC_STATE {
    union {
        AT(0x0, u8, ApcListHead)
        AT(0x20, u8, Process)
        AT(0x28, u8, InProgressFlags)
        AT(0x29, u8, KernelApcPending)
        AT(0x2a, u8, UserApcPendingAll)
        SIZE(0x30)
    };
};

struct _KAPC {
    union {
        AT(0x0, u8, Type)
        AT(0x8, u8, Thread)
        AT(0x10, u8, ApcListEntry)
        AT(0x20, u8, KernelRoutine)
        AT(0x28, u8, RundownRoutine)
        AT(0x30, u8, NormalRoutine)
        AT(0x38, u8, NormalContext)
        AT(0x51, u8, ApcMode)
        AT(0x52, u8, Inserted)
        SIZE(0x58)
    };
};

struct _KWAIT_BLOCK {
    union {
        AT(0x0, u8, WaitListEntry)
        AT(0x10, u8, WaitType)
        AT(0x11, u8, BlockState)
        AT(0x12, u8, WaitKey)
        AT(0x18, u8, Thread)
        AT(0x20, u8, Object)
        SIZE(0x30)
    };
};

struct _DISPATCHER_HEADER {
    union {
        AT(0x0, u8, Type)
        AT(0x1, u8, Signalling)
        AT(0x2, u8, Size)
        AT(0x4, u8, SignalState)
        AT(0x8, u8, WaitListHead)
        SIZE(0x18)
    };
};

struct _DEVICE_OBJECT {
    union {
        AT(0x0, u8, Type)
        AT(0x2, u8, Size)
        AT(0x4, u8, ReferenceCount)
        AT(0x8, u8, DriverObject)
        AT(0x10, u8, NextDevice)
        AT(0x18, u8, AttachedDevice)
        AT(0x20, u8, CurrentIrp)
        AT(0x30, u8, Flags)
        AT(0x34, u8, Characteristics)
        AT(0x38, u8, Vpb)
        AT(0x40, u8, DeviceExtension)
        AT(0x48, u8, DeviceType)
        AT(0x4c, u8, StackSize)
        AT(0x50, u8, Queue)
        AT(0x138, u8, DeviceObjectExtension)
        SIZE(0x150)
    };
};

struct _DRIVER_OBJECT {
    union {
        AT(0x0, u8, Type)
        AT(0x2, u8, Size)
        AT(0x8, u8, DeviceObject)
        AT(0x10, u8, Flags)
        AT(0x18, u8, DriverStart)
        AT(0x20, u8, DriverSize)
        AT(0x28, u8, DriverSection)
        AT(0x30, u8, DriverExtension)
        AT(0x38, u8, DriverName)
        AT(0x48, u8, HardwareDatabase)
        AT(0x58, u8, DriverInit)
        AT(0x60, u8, DriverStartIo)
        AT(0x68, u8, DriverUnload)
        AT(0x70, u8, MajorFunction)
        SIZE(0x150)
    };
};

struct _FILE_OBJECT {
    union {
        AT(0x0, u8, Type)
        AT(0x2, u8, Size)
        AT(0x8, u8, DeviceObject)
        AT(0x10, u8, Vpb)
        AT(0x18, u8, FsContext)
        AT(0x50, u8, Flags)
        AT(0x58, u8, FileName)
        AT(0x70, u8, Waiters)
        AT(0x74, u8, Busy)
        AT(0x80, u8, Lock)
        AT(0x98, u8, Event)
        AT(0xb8, u8, IrpListLock)
        AT(0xc0, u8, IrpList)
        SIZE(0xd8)
    };
};

struct _OBJECT_HEADER {
    union {
        AT(0x0, u8, PointerCount)
        AT(0x8, u8, HandleCount)
        AT(0x18, u8, TypeIndex)
        AT(0x1a, u8, InfoMask)
        AT(0x30, u8, Body)
        SIZE(0x38)
    };
};

struct _KLDR_DATA_TABLE_ENTRY {
    union {
        AT(0x0, u8, InLoadOrderLinks)
        AT(0x30, u8, DllBase)
        AT(0x38, u8, EntryPoint)
        AT(0x40, u8, SizeOfImage)
        AT(0x48, u8, FullDllName)
        AT(0x58, u8, BaseDllName)
        AT(0x78, u8, CheckSum)
        AT(0x9c, u8, TimeDateStamp)
        SIZE(0xa0)
    };
};

struct _KPRCB {
    union {
        AT(0x8, u8, CurrentThread)
        AT(0x10, u8, NextThread)
        AT(0x18, u8, IdleThread)
        AT(0x24, u8, Number)
        AT(0x100, u8, ProcessorState)
        AT(0x85c0, u8, Context)
        SIZE(0xaf00)
    };
};

struct _KTRAP_FRAME {
    union {
        AT(0x28, u8, PreviousMode)
        AT(0x30, u8, Rax)
        AT(0x38, u8, Rcx)
        AT(0x158, u8, Rbp)
        AT(0x160, u8, ErrorCode)
        AT(0x168, u8, Rip)
        AT(0x170, u8, SegCs)
        AT(0x178, u8, EFlags)
        AT(0x180, u8, Rsp)
        SIZE(0x190)
    };
};

/* These two by nested members, as wdm.h has them. */
struct _IRP {
    short Type;
    unsigned short Size;
    u32 Reserved;
    void *MdlAddress;
    u32 Flags;
    union { int IrpCount; void *SystemBuffer; } AssociatedIrp;
    struct { void *Flink, *Blink; } ThreadListEntry;
    struct { u64 Status, Information; } IoStatus;
    u8 RequestorMode, PendingReturned, StackCount, CurrentLocation, Cancel, CancelIrql, ApcEnvironment, AllocationFlags;
    void *UserIosb, *UserEvent;
    union {
        struct { void *UserApcRoutine, *UserApcContext; } AsynchronousParameters;
        u64 AllocationSize;
    } Overlay;
    void *CancelRoutine, *UserBuffer;
    union {
        struct {
            void *DriverContext[4];
            struct _ETHREAD *Thread;
            void *AuxiliaryBuffer;
            struct { void *Flink, *Blink; } ListEntry;
            union { struct _IO_STACK_LOCATION *CurrentStackLocation; u32 PacketType; };
            struct _FILE_OBJECT *OriginalFileObject;
            void *IrpExtension;
        } Overlay;
        struct _KAPC Apc;
        void *CompletionKey;
    } Tail;
};

struct _IO_STACK_LOCATION {
    u8 MajorFunction, MinorFunction, Flags, Control;
    u32 Reserved;
    const union {
        struct { u32 OutputBufferLength, before1; u32 InputBufferLength, before2; u32 IoControlCode, before3; void *Type3InputBuffer; } DeviceIoControl;
        struct { void *Argument1, *Argument2, *Argument3, *Argument4; } Others;
    } Parameters;
    struct _DEVICE_OBJECT *DeviceObject;
    struct _FILE_OBJECT *FileObject;
    void *CompletionRoutine, *Context;
};

/* A structure with more members than one field list of 64 KiB holds. */
#define M1(n) u32 member_with_quite_a_long_name_##n;
#define M10(n) M1(n##0) M1(n##1) M1(n##2) M1(n##3) M1(n##4) M1(n##5) M1(n##6) M1(n##7) M1(n##8) M1(n##9)
#define M100(n) M10(n##0) M10(n##1) M10(n##2) M10(n##3) M10(n##4) M10(n##5) M10(n##6) M10(n##7) M10(n##8) M10(n##9)
struct _LONG {
    M100(1) M100(2) M100(3) M100(4) M100(5) M100(6) M100(7) M100(8) M100(9) M100(10) M100(11) M100(12) M100(13) M100(14) M100(15) M100(16)
    u32 Last;
};

struct _KPROCESS of_kprocess;
struct _EPROCESS of_eprocess;
struct _KTHREAD of_kthread;
struct _ETHREAD of_ethread;
struct _KAPC_STATE of_kapc_state;
struct _KAPC of_kapc;
struct _KWAIT_BLOCK of_kwait_block;
struct _DISPATCHER_HEADER of_dispatcher_header;
struct _DEVICE_OBJECT of_device_object;
struct _DRIVER_OBJECT of_driver_object;
struct _FILE_OBJECT of_file_object;
struct _OBJECT_HEADER of_object_header;
struct _KLDR_DATA_TABLE_ENTRY of_kldr_data_table_entry;
struct _KPRCB of_kprcb;
struct _KTRAP_FRAME of_ktrap_frame;
struct _IRP of_irp;
struct _IO_STACK_LOCATION of_io_stack_location;
struct _LONG of_long;

#define ROUTINE(name) ".globl " #name "; .def " #name "; .scl 2; .type 32; .endef; .p2align 8; " #name ": int3; .fill 0x80, 1, 0xCC;"
#define VARIABLE(name) ".globl " #name "; .p2align 4; " #name ": .quad 0;"

__asm__(".text;"
    ROUTINE(KeWaitForSingleObject) ROUTINE(IopCancelAlertedRequest) ROUTINE(IopSynchronousServiceTail) ROUTINE(IopXxxControlFile)
    ROUTINE(NtDeviceIoControlFile) ROUTINE(KeDelayExecutionThread) ROUTINE(IopCleanupProcessResources) ROUTINE(IopCloseFile) ROUTINE(PspExitThread)
    ".fill 0x700, 1, 0xCC;" ROUTINE(KiSwapContext) ROUTINE(KiSystemServiceCopyEnd)
    ".fill 0x400, 1, 0xCC; .p2align 8;"
    VARIABLE(KiWaitNever) VARIABLE(KiWaitAlways) VARIABLE(KdpDataBlockEncoded));
