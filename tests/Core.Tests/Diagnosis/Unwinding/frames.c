/*
 * Frames of every kind a compiler makes, for the stack unwinder's tests: nothing here needs a kernel, so a program can run it one
 * instruction at a time (step.c) and write down where the stack really was.
 */
#define NOINLINE __attribute__((noinline))

typedef unsigned long long u64;

volatile u64 Sink;
volatile double Weight = 1.5;
int _fltused; /* link.exe and lld-link want it where floating point is used */

NOINLINE u64 Leaf(u64 a)
{
    return a * 3 + 1;
}

/* A leaf with a small frame of its own. */
NOINLINE u64 Small(u64 a)
{
    volatile u64 local[3] = { a, a + 1, a + 2 };
    return local[0] + local[2];
}

/* Every nonvolatile register is wanted across the calls. */
NOINLINE u64 Greedy(u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
    u64 s = Leaf(a), t = Leaf(b), u = Leaf(c), v = Leaf(d), w = Leaf(e), x = Leaf(f);
    u64 y = Small(s + t);
    return s + 2 * t + 3 * u + 5 * v + 7 * w + 11 * x + y + a + b + c + d + e + f;
}

/* ALLOC_LARGE. */
NOINLINE u64 Large(u64 a)
{
    volatile u64 block[300];
    block[0] = a;
    block[299] = Leaf(a);
    return block[0] + block[299] + Small(a);
}

/* A frame pointer at every optimisation level: the frame's size is not known before. */
NOINLINE u64 Dynamic(u64 count)
{
    volatile u64 *room = (volatile u64 *)__builtin_alloca((count & 7) * 16 + 16);
    u64 i, sum = 0;
    for (i = 0; i < (count & 7) + 1; i++) room[i] = Leaf(i);
    for (i = 0; i < (count & 7) + 1; i++) sum += room[i];
    return sum + Small(sum);
}

/* XMM registers saved across calls. */
NOINLINE double Floats(double a, double b)
{
    double c = a * Weight, d = b * Weight;
    Sink = Leaf((u64)a);
    Sink += Small((u64)b);
    return c * a + d * b + Weight;
}

/* Ends in a jump at -O2. */
NOINLINE u64 TailCaller(u64 a)
{
    Sink = Small(a);
    return Large(a + 1);
}

NOINLINE u64 Recursive(u64 n)
{
    if (n == 0) return Dynamic(3);
    return Recursive(n - 1) + Leaf(n);
}

/* A short way out before most of the frame is needed: compilers shrink-wrap it. */
NOINLINE u64 Early(u64 a, u64 b)
{
    if (a < 2) return b;
    return Greedy(a, b, a + b, a - b, a * b, a ^ b) + Leaf(a);
}

typedef u64 Routine(u64);

NOINLINE u64 Through(Routine *routine, u64 a)
{
    return routine(a) + routine(a + 1);
}

/* The jump goes through a register. */
NOINLINE u64 TailThrough(Routine **table, u64 a)
{
    Sink = Leaf(a);
    return table[a & 1](a);
}

u64 DriverEntry(u64 a, u64 b)
{
    Routine *table[2];
    u64 sum;
    table[0] = Leaf;
    table[1] = TailCaller;
    sum = Greedy(a, b, 3, 4, 5, 6);
    sum += Large(a) + Dynamic(5) + (u64)Floats((double)a, 2.0);
    sum += TailCaller(a) + Recursive(3) + Early(1, a) + Early(4, a);
    sum += Through(TailCaller, b) + Through(table[0], a) + TailThrough(table, 1);
    Sink = sum;
    return sum;
}
