/*
 * Runs a PE image's entry point on this processor, one instruction at a time, and writes down for every instruction boundary where RIP,
 * RSP and the nonvolatile registers were, what changed on the stack, and whether the instruction was a call or a return: the truth that
 * the unwinder's tests compare with. Linux, x86-64. Only for images that need no imports and no relocation.
 *
 * A line: RVA of RIP, then words: sN=V a stack slot (N = bytes below the top), xN=V a register, c after a call, r after a return.
 * Values that point into the image or the stack are written as iRVA and tN (bytes below the top), so that a test can put both anywhere.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define IMAGE 0x10000000ull
#define STACK 0x20000000ull
#define STACK_SIZE 0x4000ull
#define TOP (STACK + STACK_SIZE)

static unsigned long long image_size;

static unsigned u32(const unsigned char *p) { unsigned v; memcpy(&v, p, 4); return v; }

static unsigned load(const char *path)
{
    static unsigned char file[1 << 20];
    FILE *f = fopen(path, "rb");
    size_t length = f ? fread(file, 1, sizeof file, f) : 0;
    unsigned char *pe, *section;
    unsigned i, sections;
    if (!length) { perror(path); exit(2); }
    pe = file + u32(file + 0x3C);
    sections = pe[6];
    section = pe + 0x18 + pe[0x14];
    image_size = u32(pe + 0x50);
    mmap((void *)IMAGE, image_size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    memcpy((void *)IMAGE, file, u32(pe + 0x54));
    for (i = 0; i < sections; i++, section += 40)
    {
        unsigned in_memory = u32(section + 8), in_file = u32(section + 16);
        memcpy((void *)(IMAGE + u32(section + 12)), file + u32(section + 20), in_file < in_memory ? in_file : in_memory);
    }
    return u32(pe + 0x28);
}

static void value(unsigned long long v)
{
    if (v >= IMAGE && v < IMAGE + image_size) printf("i%llx", v - IMAGE);
    else if (v >= STACK && v <= TOP) printf("t%llx", TOP - v);
    else printf("%llx", v);
}

int main(int argc, char **argv)
{
    unsigned entry = argc == 2 ? load(argv[1]) : 0;
    pid_t child;
    int status;
    struct user_regs_struct regs;
    static unsigned long long before[STACK_SIZE / 8], now[STACK_SIZE / 8], old[16];
    char kind = 0;
    if (!entry) return 2;
    mmap((void *)STACK, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    child = fork();
    if (child == 0)
    {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(5);
        _exit(3);
    }

    waitpid(child, &status, 0);
    ptrace(PTRACE_GETREGS, child, 0, &regs);
    memset(old, 0xFF, sizeof old);
    regs.rip = IMAGE + entry;
    regs.rsp = TOP - 0x48; /* a return address of 0 and the home area above it */
    regs.rbx = 0xB0B; regs.rbp = 0xB9; regs.rsi = 0x51; regs.rdi = 0xD1;
    regs.r12 = 0x12; regs.r13 = 0x13; regs.r14 = 0x14; regs.r15 = 0x15;
    regs.rcx = 7; regs.rdx = 9;
    regs.orig_rax = -1;
    ptrace(PTRACE_SETREGS, child, 0, &regs);
    for (;;)
    {
        struct iovec local = { now, STACK_SIZE }, remote = { (void *)STACK, STACK_SIZE };
        unsigned long long r[16];
        unsigned char *code;
        int i;
        ptrace(PTRACE_GETREGS, child, 0, &regs);
        if (regs.rip < IMAGE || regs.rip >= IMAGE + image_size) break;
        if (process_vm_readv(child, &local, 1, &remote, 1, 0) != (ssize_t)STACK_SIZE) { perror("stack"); return 2; }
        printf("%llx", regs.rip - IMAGE);
        if (kind) printf(" %c", kind);
        memset(r, 0, sizeof r);
        r[3] = regs.rbx; r[4] = regs.rsp; r[5] = regs.rbp; r[6] = regs.rsi; r[7] = regs.rdi;
        r[12] = regs.r12; r[13] = regs.r13; r[14] = regs.r14; r[15] = regs.r15;
        for (i = 3; i < 16; i++)
            if (r[i] != old[i] && (i < 8 || i > 11)) { printf(" x%x=", i); value(r[i]); }
        memcpy(old, r, sizeof old);
        for (i = 0; i < (int)(STACK_SIZE / 8); i++)
            if (now[i] != before[i]) { printf(" s%llx=", STACK_SIZE - 8ull * i); value(now[i]); }
        memcpy(before, now, sizeof before);
        puts("");
        code = (unsigned char *)regs.rip; /* the parent has the same image */
        if ((code[0] & 0xF0) == 0x40 && code[1] == 0xFF) code++;
        kind = code[0] == 0xE8 || (code[0] == 0xFF && (code[1] & 0x38) == 0x10) ? 'c' : code[0] == 0xC3 || (code[0] == 0xF3 && code[1] == 0xC3) ? 'r' : 0;
        if (ptrace(PTRACE_SINGLESTEP, child, 0, 0) || waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) { fprintf(stderr, "stopped\n"); return 2; }
    }

    ptrace(PTRACE_KILL, child, 0, 0);
    if (regs.rip != 0) { fprintf(stderr, "left the image at %llx\n", regs.rip); return 2; }
    return 0;
}
