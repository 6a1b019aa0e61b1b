/*
 * Functions as drivers contain them, exported so that a test can call each one and compare its result with one computed another way.
 * Plain C with fixed-width types; no header, so that every compiler sees the same source. Built by build.sh.
 */
typedef unsigned char u8;
typedef signed char i8;
typedef unsigned short u16;
typedef short i16;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;

#define EXPORT __declspec(dllexport)

int _fltused = 1;

EXPORT void *memcpy(void *to, const void *from, u64 n)
{
    u8 *t = to;
    const u8 *f = from;
    while (n--)
        *t++ = *f++;
    return to;
}

EXPORT void *memset(void *to, int value, u64 n)
{
    u8 *t = to;
    while (n--)
        *t++ = (u8)value;
    return to;
}

EXPORT void *memmove(void *to, const void *from, u64 n)
{
    u8 *t = to;
    const u8 *f = from;
    if (t <= f || t >= f + n)
        return memcpy(to, from, n);
    while (n--)
        t[n] = f[n];
    return to;
}

EXPORT int memcmp(const void *a, const void *b, u64 n)
{
    const u8 *x = a, *y = b;
    for (u64 i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

EXPORT u64 Crc32(const u8 *p, u64 n)
{
    u32 crc = ~0u;
    for (u64 i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1)));
    }
    return (u32)~crc;
}

EXPORT u64 Fnv1a(const u8 *p, u64 n)
{
    u64 hash = 14695981039346656037ull;
    for (u64 i = 0; i < n; i++)
        hash = (hash ^ p[i]) * 1099511628211ull;
    return hash;
}

/* Vectorises at -O2 and -O3: sums, minimum, maximum and a saturating count of 16-bit numbers. */
EXPORT u64 Sums(const i16 *p, u64 n)
{
    i64 sum = 0;
    i16 low = 32767, high = -32768;
    u32 negative = 0;
    for (u64 i = 0; i < n; i++) {
        sum += p[i];
        low = p[i] < low ? p[i] : low;
        high = p[i] > high ? p[i] : high;
        negative += p[i] < 0;
    }
    return (u64)sum * 31 + (u16)low * 65537ull + ((u64)(u16)high << 32) + negative;
}

EXPORT void AddBytes(u8 *to, const u8 *from, u64 n)
{
    for (u64 i = 0; i < n; i++)
        to[i] = (u8)(to[i] * 3 + from[i]);
}

EXPORT void Average(u8 *to, const u8 *from, u64 n)
{
    for (u64 i = 0; i < n; i++)
        to[i] = (u8)((to[i] + from[i] + 1) >> 1);
}

EXPORT u64 DotProduct(const i32 *a, const i32 *b, u64 n)
{
    i64 sum = 0;
    for (u64 i = 0; i < n; i++)
        sum += (i64)a[i] * b[i];
    return (u64)sum;
}

static void Swap(i32 *a, i32 *b)
{
    i32 t = *a;
    *a = *b;
    *b = t;
}

EXPORT void QuickSort(i32 *a, i64 low, i64 high)
{
    if (low >= high)
        return;
    i32 pivot = a[(low + high) / 2];
    i64 i = low, j = high;
    while (i <= j) {
        while (a[i] < pivot)
            i++;
        while (a[j] > pivot)
            j--;
        if (i <= j)
            Swap(&a[i++], &a[j--]);
    }
    QuickSort(a, low, j);
    QuickSort(a, i, high);
}

EXPORT u64 Length(const char *s)
{
    u64 n = 0;
    while (s[n])
        n++;
    return n;
}

EXPORT i64 Find(const char *text, const char *what)
{
    for (i64 at = 0;; at++) {
        i64 i = 0;
        while (what[i] && text[at + i] == what[i])
            i++;
        if (!what[i])
            return at;
        if (!text[at + i])
            return -1;
    }
}

static u16 Upcase(u16 c)
{
    return c >= 'a' && c <= 'z' ? (u16)(c - 32) : c;
}

EXPORT i64 CompareWide(const u16 *a, const u16 *b)
{
    for (;; a++, b++) {
        i32 d = Upcase(*a) - Upcase(*b);
        if (d || !*a)
            return d;
    }
}

EXPORT u64 ToHex(char *to, u64 value)
{
    u64 n = 0;
    for (int shift = 60; shift >= 0; shift -= 4) {
        u32 digit = (u32)(value >> shift) & 15;
        if (n || digit || !shift)
            to[n++] = "0123456789abcdef"[digit];
    }
    to[n] = 0;
    return n;
}

EXPORT i64 DivideSigned(i64 a, i64 b) { return a / b; }
EXPORT i64 RemainderSigned(i64 a, i64 b) { return a % b; }
EXPORT u64 DivideUnsigned(u64 a, u64 b) { return a / b; }
EXPORT i64 DivideBy10(i64 a) { return a / 10; }
EXPORT i64 RemainderBy7(i64 a) { return (i32)a % 7; }
EXPORT u64 DivideShort(u64 a, u64 b) { return (u64)(u32)((i32)a / (i32)b) << 32 | (u32)((i16)a % (i16)b); }
EXPORT u64 DivideByte(u64 a, u64 b) { return (u64)(u8)((u8)a / (u8)b) << 8 | (u8)((i8)a % (i8)b); }

EXPORT u64 MultiplyHigh(u64 a, u64 b) { return (u64)(((unsigned __int128)a * b) >> 64); }
EXPORT u64 MultiplyHighSigned(i64 a, i64 b) { return (u64)(((__int128)a * b) >> 64); }
EXPORT u64 AddWide(u64 a, u64 b, u64 c, u64 d)
{
    unsigned __int128 x = ((unsigned __int128)a << 64) | b, y = ((unsigned __int128)c << 64) | d;
    unsigned __int128 s = x + y, t = x - y;
    return (u64)(s >> 64) ^ (u64)s * 3 ^ (u64)(t >> 64) * 5 ^ (u64)t * 7;
}
EXPORT u64 ShiftWide(u64 a, u64 b, u64 n)
{
    unsigned __int128 x = ((unsigned __int128)a << 64) | b;
    return (u64)((x << n) >> 64) ^ (u64)(x >> n) ^ (u64)((__int128)x >> n >> 64);
}

EXPORT u64 Rotate(u64 a, u64 n)
{
    u32 low = (u32)a, k = (u32)n & 31;
    u8 b = (u8)a, m = (u8)n & 7;
    u32 r = k ? (low << k) | (low >> (32 - k)) : low;
    return ((a << (n & 63)) | (a >> ((64 - n) & 63))) ^ r ^ ((u64)(u8)((b >> m) | (b << ((8 - m) & 7))) << 20);
}

/* What gcc calls where there is no popcnt. */
int __popcountdi2(u64 a);
int __popcountdi2(u64 a)
{
    int n = 0;
    for (; a; a &= a - 1)
        n++;
    return n;
}

EXPORT u64 CountBits(u64 a)
{
    return (u64)__builtin_popcountll(a) << 16 | (a ? (u64)__builtin_clzll(a) << 8 | (u64)__builtin_ctzll(a) : 0xFFFF);
}

EXPORT u64 ByteSwap(u64 a) { return __builtin_bswap64(a) ^ __builtin_bswap32((u32)a) ^ ((u64)__builtin_bswap16((u16)a) << 24); }

struct packed_bits {
    u32 a : 3;
    i32 b : 7;
    u32 c : 12;
    i32 d : 10;
    u64 e : 33;
    i64 f : 31;
};

EXPORT i64 Bitfields(u64 a, i64 b)
{
    struct packed_bits bits;
    bits.a = (u32)a;
    bits.b = (i32)b;
    bits.c = (u32)(a >> 5);
    bits.d = (i32)(b >> 7);
    bits.e = a;
    bits.f = b;
    bits.c += 1000;
    bits.b -= 3;
    return bits.a + bits.b * 8ll + bits.c * 1024ll + bits.d * 4194304ll + (i64)(bits.e ^ 0x1FFFFFFFFull) + bits.f * 3;
}

struct big {
    u64 words[9];
    u8 tail[5];
};

static struct big Twist(struct big b, u64 by)
{
    for (int i = 0; i < 9; i++)
        b.words[i] = b.words[8 - i] + by;
    for (int i = 0; i < 5; i++)
        b.tail[i] ^= (u8)by;
    return b;
}

EXPORT u64 StructCopies(const struct big *from, u64 by)
{
    struct big a = Twist(*from, by), b = Twist(a, by * 3), c = a;
    a = b;
    b = c;
    u64 sum = 0;
    for (int i = 0; i < 9; i++)
        sum = sum * 31 + a.words[i] + b.words[i] * 2;
    for (int i = 0; i < 5; i++)
        sum = sum * 31 + a.tail[i] + b.tail[i];
    return sum;
}

EXPORT u64 SwitchTable(u64 code, u64 x)
{
    switch ((u32)code) {
    case 0: return x + 1;
    case 1: return x * 3;
    case 2: return x >> 3;
    case 3: return ~x;
    case 4: return x ^ (x << 7);
    case 5: return x % 1000;
    case 6: return (u64)(i64)(i32)x;
    case 7: return (u64)(i64)(i8)x;
    case 9: return x & 0xFF00FF00FF00FF00ull;
    case 10: return 0x222003;
    case 12: return x - 12;
    default: return 0xC0000010;
    }
}

struct list {
    struct list *next, *previous;
};

static void InsertTail(struct list *head, struct list *entry)
{
    entry->next = head;
    entry->previous = head->previous;
    head->previous->next = entry;
    head->previous = entry;
}

static struct list *RemoveHead(struct list *head)
{
    struct list *first = head->next;
    head->next = first->next;
    first->next->previous = head;
    return first;
}

/* A queue of n entries, every third moved to its tail once more. */
EXPORT u64 Lists(u64 n)
{
    struct item {
        u64 value;
        struct list link;
    } items[64];
    struct list head = { &head, &head };
    u64 order = 0;
    for (u64 i = 0; i < n && i < 64; i++) {
        items[i].value = i * i;
        InsertTail(&head, &items[i].link);
    }
    for (u64 step = 0; head.next != &head; step++) {
        struct item *item = (struct item *)((u8 *)RemoveHead(&head) - 8);
        order = order * 37 + item->value;
        if (step % 3 == 2 && step < 100)
            InsertTail(&head, &item->link);
    }
    return order;
}

typedef u64 (*operation)(u64, u64);
static u64 Plus(u64 a, u64 b) { return a + b; }
static u64 Times(u64 a, u64 b) { return a * b; }
static u64 Power(u64 a, u64 b) { return b ? Times(a, Power(a, b - 1)) : 1; }
static const operation operations[] = { Plus, Times, Power };

EXPORT u64 ThroughPointers(u64 which, u64 a, u64 b) { return operations[which % 3](a, b); }

static volatile i64 counter;
static u64 pair[2] __attribute__((aligned(16)));

EXPORT u64 Interlocked(u64 by)
{
    u64 seen = (u64)__atomic_exchange_n(&counter, 100, __ATOMIC_SEQ_CST) & 0;
    seen = seen * 31 + (u64)__atomic_fetch_add(&counter, (i64)by, __ATOMIC_SEQ_CST);
    seen = seen * 31 + (u64)__atomic_fetch_or(&counter, 0x1000, __ATOMIC_SEQ_CST);
    seen = seen * 31 + (u64)__atomic_and_fetch(&counter, ~1ll, __ATOMIC_SEQ_CST);
    i64 expected = counter;
    seen = seen * 31 + (u64)__atomic_compare_exchange_n(&counter, &expected, 7, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    expected = 8;
    seen = seen * 31 + (u64)__atomic_compare_exchange_n(&counter, &expected, 9, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return seen * 31 + (u64)expected + (u64)counter;
}

/* The S-list way: replaces two words at once. */
EXPORT __attribute__((target("cx16"))) u64 CompareExchange128(u64 low, u64 high)
{
    u8 first, second;
    u64 a = low, d = high;
    pair[0] = low;
    pair[1] = high;
    __asm__ volatile("lock cmpxchg16b %1\n\tsetz %0" : "=q"(first), "+m"(*(u64(*)[2])pair), "+a"(a), "+d"(d) : "b"(low + 1), "c"(high + 2) : "cc", "memory");
    __asm__ volatile("lock cmpxchg16b %1\n\tsetz %0" : "=q"(second), "+m"(*(u64(*)[2])pair), "+a"(a), "+d"(d) : "b"(0ull), "c"(0ull) : "cc", "memory");
    return first * 2 + second + (a - low) * 16 + (d - high) * 256 + (pair[0] ^ pair[1]) * 4096;
}

EXPORT u64 Doubles(i64 a, i64 b)
{
    double x = (double)a, y = (double)b, r = 0;
    for (int i = 0; i < 10; i++) {
        r += x / (y + i) - (double)i * 0.25;
        if (r > 1e6)
            r = r * 1e-3;
        x = x < y ? x + 1.5 : x - 2.5;
    }
    float f = (float)r;
    return (u64)(i64)(r * 1000.0) ^ ((u64)(i64)(f * 16.0f) << 20);
}

EXPORT i64 Recursion(u64 n) { return n < 2 ? (i64)n : Recursion(n - 1) + Recursion(n - 2); }

/* More arguments than registers. */
EXPORT u64 Many(u64 a, u64 b, u64 c, u64 d);
static __attribute__((noinline)) u64 Eight(u64 a, u32 b, u16 c, u8 d, i64 e, i32 f, i16 g, i8 h)
{
    return a + b * 3ull + c * 5ull + d * 7ull + (u64)e * 11 + (u64)(i64)f * 13 + (u64)(i64)g * 17 + (u64)(i64)h * 19;
}
EXPORT u64 Many(u64 a, u64 b, u64 c, u64 d) { return Eight(a, (u32)b, (u16)c, (u8)d, (i64)a, (i32)b, (i16)c, (i8)d); }

EXPORT i32 DriverEntry(void *driver, void *path)
{
    (void)driver;
    (void)path;
    return 0;
}
