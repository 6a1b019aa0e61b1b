/*
 * What the MSVC linker adds to a driver from its stack-protection library, for drivers that clang builds.
 *
 * The image loader finds the cookie through the load configuration directory and replaces the value the linker left there. A
 * driver whose cookie was not replaced must not start; one that finds a spoilt cookie must not go on.
 */

#include <wdm.h>

#define GS_UNTOUCHED_COOKIE 0x00002B992DDFA232ull

#define GS_FAIL_STACK_COOKIE_CHECK 2
#define GS_FAIL_COOKIE_INIT 6

DRIVER_INITIALIZE DriverEntry;
DRIVER_INITIALIZE GsDriverEntry;

ULONG64 __security_cookie = GS_UNTOUCHED_COOKIE;

/*
 * The part of IMAGE_LOAD_CONFIG_DIRECTORY64 that leads to the cookie, by offset: Size at 0, SecurityCookie at 0x58.
 */
typedef struct _GS_LOAD_CONFIG {
    ULONG Size;
    UCHAR Unused[0x54];
    ULONG64 *SecurityCookie;
    ULONG64 SafeExceptionHandlerTable;
    ULONG64 SafeExceptionHandlerCount;
} GS_LOAD_CONFIG;

/* The linker makes the directory entry for this name. */
extern const GS_LOAD_CONFIG _load_config_used;
const GS_LOAD_CONFIG _load_config_used = {
    .Size = sizeof(GS_LOAD_CONFIG),
    .SecurityCookie = &__security_cookie,
};

/* int 29h with the reason in ecx is the fast fail: the kernel stops with bug check 0x139 without running another handler. */
static __inline__ __attribute__((always_inline, noreturn)) VOID GsFail(ULONG Reason)
{
    __asm__ volatile("int $0x29" : : "c"(Reason) : "memory");
    __builtin_unreachable();
}

VOID __security_check_cookie(ULONG64 Cookie);

/* Called in the epilogue of a protected function, with the saved cookie as it was before the stack pointer was mixed in. */
__attribute__((no_stack_protector)) VOID __security_check_cookie(ULONG64 Cookie)
{
    if (Cookie != __security_cookie) {
        GsFail(GS_FAIL_STACK_COOKIE_CHECK);
    }
}

__attribute__((no_stack_protector)) NTSTATUS NTAPI GsDriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    if (__security_cookie == 0 || __security_cookie == GS_UNTOUCHED_COOKIE) {
        GsFail(GS_FAIL_COOKIE_INIT);
    }

    return DriverEntry(DriverObject, RegistryPath);
}
