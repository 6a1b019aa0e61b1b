/*
 * The C run time, counted strings, numbers, bitmaps, times and versions.
 */

#include "check.h"

__declspec(dllimport) int __cdecl _snprintf(char *Buffer, size_t Count, const char *Format, ...);
__declspec(dllimport) int __cdecl _snwprintf(WCHAR *Buffer, size_t Count, const WCHAR *Format, ...);
__declspec(dllimport) int __cdecl _vsnprintf(char *Buffer, size_t Count, const char *Format, va_list Arguments);
int __cdecl sprintf(char *Buffer, const char *Format, ...);
NTSYSAPI VOID NTAPI RtlFreeAnsiString(PANSI_STRING String);
NTSYSAPI ULONG NTAPI RtlRandomEx(PULONG Seed);

static int Format(char *Buffer, size_t Count, const char *Text, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, Text);
    length = _vsnprintf(Buffer, Count, Text, arguments);
    va_end(arguments);
    return length;
}

static VOID CheckMemory(VOID)
{
    UCHAR a[16];
    UCHAR b[16];

    memset(a, 0x5A, sizeof(a));
    CHECK(a[0] == 0x5A && a[15] == 0x5A);
    memcpy(b, a, sizeof(a));
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    b[7] = 0x5B;
    CHECK(memcmp(a, b, sizeof(a)) < 0 && memcmp(b, a, sizeof(a)) > 0);
    CHECK(RtlCompareMemory(a, b, sizeof(a)) == 7);
    b[0] = 1;
    b[1] = 2;
    b[2] = 3;
    memmove(b + 1, b, 3);
    CHECK(b[1] == 1 && b[2] == 2 && b[3] == 3);
}

static VOID CheckCharacters(VOID)
{
    char text[32];
    WCHAR wide[32];

    CHECK(strlen("seven!!") == 7);
    CHECK(strcmp("abc", "abd") < 0 && strcmp("abc", "abc") == 0);
    CHECK(strncmp("abcx", "abcy", 3) == 0);
    strcpy(text, "driver");
    strcat(text, ".sys");
    CHECK(strcmp(text, "driver.sys") == 0);
    strncpy(text, "ab", 6);
    CHECK(text[2] == 0 && text[5] == 0 && text[6] == '.');
    CHECK(strchr("a.b", '.') != NULL && strchr("ab", '.') == NULL && strrchr("a.b.c", '.')[1] == 'c');
    CHECK(strstr("abcdef", "cd") != NULL);
    CHECK(wcslen(L"four") == 4);
    CHECK(_wcsicmp(L"DeViCe", L"device") == 0);
    wcscpy(wide, L"\\Device");
    wcscat(wide, L"\\X");
    CHECK(wcscmp(wide, L"\\Device\\X") == 0);
    CHECK(wcsrchr(wide, L'\\')[1] == L'X');
}

static VOID CheckPrintf(VOID)
{
    char text[64];
    WCHAR wide[64];
    UNICODE_STRING name = RTL_CONSTANT_STRING(L"\\Device\\Name");
    ANSI_STRING narrow = RTL_CONSTANT_STRING("narrow");

    CHECK(sprintf(text, "%d %u %x %X", -5, 7, 0xabc, 0xABC) == 12 && strcmp(text, "-5 7 abc ABC") == 0);
    sprintf(text, "[%5d|%-5d|%05d|%+d]", 42, 42, 42, 42);
    CHECK(strcmp(text, "[   42|42   |00042|+42]") == 0);
    sprintf(text, "%#x %08lx %I64x %llu", 0x1F, 0xBEEFUL, 0x123456789ABCULL, 18446744073709551615ULL);
    CHECK(strcmp(text, "0x1f 0000beef 123456789abc 18446744073709551615") == 0);
    sprintf(text, "%p", (PVOID)(ULONG_PTR)0xFFFF8000ABCD0000ULL);
    CHECK(strcmp(text, "FFFF8000ABCD0000") == 0);
    sprintf(text, "%wZ|%Z|%ws|%S|%s", &name, &narrow, L"w", L"big", "s");
    CHECK(strcmp(text, "\\Device\\Name|narrow|w|big|s") == 0);
    sprintf(text, "%.3s|%*d|%c%%", "abcdef", 4, 7, 'q');
    CHECK(strcmp(text, "abc|   7|q%") == 0);
    CHECK(_snprintf(text, 4, "%s", "abcdef") == -1 && memcmp(text, "abcd", 4) == 0);
    CHECK(Format(text, sizeof(text), "%d-%d-%d-%d-%d", 1, 2, 3, 4, 5) == 9 && strcmp(text, "1-2-3-4-5") == 0);
    CHECK(_snwprintf(wide, 64, L"%s=%hs %d", L"a", "b", 3) == 5 && wcscmp(wide, L"a=b 3") == 0);
}

static VOID CheckCounted(VOID)
{
    UNICODE_STRING a;
    UNICODE_STRING b;
    ANSI_STRING narrow;
    WCHAR buffer[16];
    ULONG value;
    GUID guid;

    RtlInitUnicodeString(&a, L"Hello");
    CHECK(a.Length == 10 && a.MaximumLength == 12 && a.Buffer[4] == L'o');
    RtlInitUnicodeString(&b, NULL);
    CHECK(b.Length == 0 && b.MaximumLength == 0 && b.Buffer == NULL);

    b.Buffer = buffer;
    b.Length = 0;
    b.MaximumLength = sizeof(buffer);
    RtlCopyUnicodeString(&b, &a);
    CHECK(b.Length == 10 && buffer[5] == 0);
    CHECK(RtlAppendUnicodeToString(&b, L", all") == STATUS_SUCCESS && b.Length == 20);
    CHECK(RtlAppendUnicodeStringToString(&b, &b) == STATUS_BUFFER_TOO_SMALL && b.Length == 20);
    CHECK(RtlPrefixUnicodeString(&a, &b, FALSE));
    RtlInitUnicodeString(&b, L"hELLO");
    CHECK(RtlEqualUnicodeString(&a, &b, TRUE) && !RtlEqualUnicodeString(&a, &b, FALSE));
    CHECK(RtlCompareUnicodeString(&a, &b, FALSE) < 0);
    CHECK(RtlUpcaseUnicodeChar(L'q') == L'Q');

    CHECK(RtlUnicodeStringToAnsiString(&narrow, &a, TRUE) == STATUS_SUCCESS && strcmp(narrow.Buffer, "Hello") == 0);
    CHECK(RtlAnsiStringToUnicodeString(&b, &narrow, TRUE) == STATUS_SUCCESS && RtlEqualUnicodeString(&a, &b, FALSE));
    RtlFreeUnicodeString(&b);
    CHECK(b.Buffer == NULL);
    RtlFreeAnsiString(&narrow);

    b.Buffer = buffer;
    b.MaximumLength = sizeof(buffer);
    CHECK(RtlIntegerToUnicodeString(0xBEEF, 16, &b) == STATUS_SUCCESS && b.Length == 8 && buffer[3] == L'F');
    CHECK(RtlUnicodeStringToInteger(&b, 16, &value) == STATUS_SUCCESS && value == 0xBEEF);
    RtlInitUnicodeString(&b, L"-12");
    CHECK(RtlUnicodeStringToInteger(&b, 0, &value) == STATUS_SUCCESS && (LONG)value == -12);

    RtlInitUnicodeString(&b, L"{6B29FC40-CA47-1067-B31D-00DD010662DA}");
    CHECK(RtlGUIDFromString(&b, &guid) == STATUS_SUCCESS && guid.Data1 == 0x6B29FC40 && guid.Data4[7] == 0xDA);
    CHECK(RtlStringFromGUID(&guid, &a) == STATUS_SUCCESS && RtlEqualUnicodeString(&a, &b, FALSE));
    RtlFreeUnicodeString(&a);
}

static VOID CheckNumbers(VOID)
{
    ULONG words[2] = {0, 0};
    RTL_BITMAP map;
    TIME_FIELDS fields;
    LARGE_INTEGER time;
    LARGE_INTEGER back;
    ULONG seed = 1;
    ULONG other = 1;
    RTL_OSVERSIONINFOW version;

    RtlInitializeBitMap(&map, words, 40);
    RtlSetBits(&map, 3, 5);
    CHECK(words[0] == 0xF8 && RtlNumberOfSetBits(&map) == 5 && RtlAreBitsSet(&map, 3, 5) && !RtlAreBitsSet(&map, 2, 3));
    CHECK(RtlFindClearBits(&map, 4, 0) == 8);
    CHECK(RtlFindClearBitsAndSet(&map, 3, 0) == 0 && words[0] == 0xFF);
    CHECK(RtlFindSetBits(&map, 9, 0) == 0xFFFFFFFF);
    RtlClearAllBits(&map);
    CHECK(words[0] == 0 && RtlNumberOfClearBits(&map) == 40);

    memset(&fields, 0, sizeof(fields));
    fields.Year = 2020;
    fields.Month = 2;
    fields.Day = 29;
    fields.Hour = 13;
    CHECK(RtlTimeFieldsToTime(&fields, &time));
    memset(&fields, 0, sizeof(fields));
    RtlTimeToTimeFields(&time, &fields);
    CHECK(fields.Year == 2020 && fields.Month == 2 && fields.Day == 29 && fields.Hour == 13 && fields.Weekday == 6);
    ExSystemTimeToLocalTime(&time, &back);
    ExLocalTimeToSystemTime(&back, &back);
    CHECK(back.QuadPart == time.QuadPart);

    CHECK(RtlRandomEx(&seed) == RtlRandomEx(&other) && seed == other && seed != 1);
    memset(&version, 0, sizeof(version));
    version.dwOSVersionInfoSize = sizeof(version);
    CHECK(RtlGetVersion(&version) == STATUS_SUCCESS && version.dwMajorVersion == 10 && version.dwBuildNumber == 19041);
    CHECK(IoIsWdmVersionAvailable(1, 0x30));
}

_Use_decl_annotations_
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);

    CheckMemory();
    CheckCharacters();
    CheckPrintf();
    CheckCounted();
    CheckNumbers();
    return Finish();
}
