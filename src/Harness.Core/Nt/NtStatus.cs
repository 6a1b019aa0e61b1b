using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Harness.Core.Nt;

/// <summary>An NTSTATUS. Values: [MS-ERREF] 2.3.1 and ntstatus.h.</summary>
[JsonConverter(typeof(NtStatusJson))]
public readonly record struct NtStatus(uint Value)
{
    public static readonly NtStatus Success = new(0x00000000);
    public static readonly NtStatus UserApc = new(0x000000C0);
    public static readonly NtStatus KernelApc = new(0x00000100);
    public static readonly NtStatus Alerted = new(0x00000101);
    public static readonly NtStatus Timeout = new(0x00000102);
    public static readonly NtStatus Pending = new(0x00000103);
    public static readonly NtStatus NotifyCleanup = new(0x0000010B);
    public static readonly NtStatus NoMoreFiles = new(0x80000006);
    public static readonly NtStatus BufferOverflow = new(0x80000005);
    public static readonly NtStatus DatatypeMisalignment = new(0x80000002);
    public static readonly NtStatus Breakpoint = new(0x80000003);
    public static readonly NtStatus LongJump = new(0x80000026);
    public static readonly NtStatus UnwindConsolidate = new(0x80000029);
    public static readonly NtStatus Unsuccessful = new(0xC0000001);
    public static readonly NtStatus NotImplemented = new(0xC0000002);
    public static readonly NtStatus InfoLengthMismatch = new(0xC0000004);
    public static readonly NtStatus AccessViolation = new(0xC0000005);
    public static readonly NtStatus InvalidHandle = new(0xC0000008);
    public static readonly NtStatus InvalidCid = new(0xC000000B);
    public static readonly NtStatus InvalidParameter = new(0xC000000D);
    public static readonly NtStatus NoSuchDevice = new(0xC000000E);
    public static readonly NtStatus NoSuchFile = new(0xC000000F);
    public static readonly NtStatus InvalidDeviceRequest = new(0xC0000010);
    public static readonly NtStatus EndOfFile = new(0xC0000011);
    public static readonly NtStatus MoreProcessingRequired = new(0xC0000016);
    public static readonly NtStatus NoMemory = new(0xC0000017);
    public static readonly NtStatus IllegalInstruction = new(0xC000001D);
    public static readonly NtStatus AccessDenied = new(0xC0000022);
    public static readonly NtStatus BufferTooSmall = new(0xC0000023);
    public static readonly NtStatus ObjectTypeMismatch = new(0xC0000024);
    public static readonly NtStatus NoncontinuableException = new(0xC0000025);
    public static readonly NtStatus InvalidDisposition = new(0xC0000026);
    public static readonly NtStatus Unwind = new(0xC0000027);
    public static readonly NtStatus BadStack = new(0xC0000028);
    public static readonly NtStatus InvalidUnwindTarget = new(0xC0000029);
    public static readonly NtStatus ObjectNameInvalid = new(0xC0000033);
    public static readonly NtStatus ObjectNameNotFound = new(0xC0000034);
    public static readonly NtStatus ObjectNameCollision = new(0xC0000035);
    public static readonly NtStatus ObjectPathNotFound = new(0xC000003A);
    public static readonly NtStatus ObjectPathSyntaxBad = new(0xC000003B);
    public static readonly NtStatus MutantNotOwned = new(0xC0000046);
    public static readonly NtStatus SemaphoreLimitExceeded = new(0xC0000047);
    public static readonly NtStatus DeletePending = new(0xC0000056);
    public static readonly NtStatus ProcedureNotFound = new(0xC000007A);
    public static readonly NtStatus IntegerDivideByZero = new(0xC0000094);
    public static readonly NtStatus IntegerOverflow = new(0xC0000095);
    public static readonly NtStatus InsufficientResources = new(0xC000009A);
    public static readonly NtStatus DeviceNotReady = new(0xC00000A3);
    public static readonly NtStatus IoTimeout = new(0xC00000B5);
    public static readonly NtStatus NotSupported = new(0xC00000BB);
    public static readonly NtStatus InternalError = new(0xC00000E5);
    public static readonly NtStatus InvalidParameter1 = new(0xC00000EF);
    public static readonly NtStatus ProcessIsTerminating = new(0xC000010A);
    public static readonly NtStatus Cancelled = new(0xC0000120);
    public static readonly NtStatus TooManyThreads = new(0xC0000129);
    public static readonly NtStatus DriverEntrypointNotFound = new(0xC0000263);
    public static readonly NtStatus DriverOrdinalNotFound = new(0xC0000262);
    public static readonly NtStatus NotFound = new(0xC0000225);
    public static readonly NtStatus AssertionFailure = new(0xC0000420);

    private static readonly Dictionary<uint, string> Names = new()
    {
        [0x00000000] = "STATUS_SUCCESS",
        [0x000000C0] = "STATUS_USER_APC",
        [0x00000100] = "STATUS_KERNEL_APC",
        [0x00000101] = "STATUS_ALERTED",
        [0x00000102] = "STATUS_TIMEOUT",
        [0x00000103] = "STATUS_PENDING",
        [0x80000002] = "STATUS_DATATYPE_MISALIGNMENT",
        [0x80000003] = "STATUS_BREAKPOINT",
        [0x80000005] = "STATUS_BUFFER_OVERFLOW",
        [0x80000006] = "STATUS_NO_MORE_FILES",
        [0x80000026] = "STATUS_LONGJUMP",
        [0x80000029] = "STATUS_UNWIND_CONSOLIDATE",
        [0xC0000001] = "STATUS_UNSUCCESSFUL",
        [0xC0000002] = "STATUS_NOT_IMPLEMENTED",
        [0xC0000004] = "STATUS_INFO_LENGTH_MISMATCH",
        [0xC0000005] = "STATUS_ACCESS_VIOLATION",
        [0xC0000008] = "STATUS_INVALID_HANDLE",
        [0xC000000B] = "STATUS_INVALID_CID",
        [0xC000000D] = "STATUS_INVALID_PARAMETER",
        [0xC000000E] = "STATUS_NO_SUCH_DEVICE",
        [0xC000000F] = "STATUS_NO_SUCH_FILE",
        [0xC0000010] = "STATUS_INVALID_DEVICE_REQUEST",
        [0xC0000011] = "STATUS_END_OF_FILE",
        [0xC0000016] = "STATUS_MORE_PROCESSING_REQUIRED",
        [0xC0000017] = "STATUS_NO_MEMORY",
        [0xC000001D] = "STATUS_ILLEGAL_INSTRUCTION",
        [0xC0000022] = "STATUS_ACCESS_DENIED",
        [0xC0000023] = "STATUS_BUFFER_TOO_SMALL",
        [0xC0000024] = "STATUS_OBJECT_TYPE_MISMATCH",
        [0xC0000025] = "STATUS_NONCONTINUABLE_EXCEPTION",
        [0xC0000026] = "STATUS_INVALID_DISPOSITION",
        [0xC0000027] = "STATUS_UNWIND",
        [0xC0000028] = "STATUS_BAD_STACK",
        [0xC0000029] = "STATUS_INVALID_UNWIND_TARGET",
        [0xC0000033] = "STATUS_OBJECT_NAME_INVALID",
        [0xC0000034] = "STATUS_OBJECT_NAME_NOT_FOUND",
        [0xC0000035] = "STATUS_OBJECT_NAME_COLLISION",
        [0xC000003A] = "STATUS_OBJECT_PATH_NOT_FOUND",
        [0xC0000046] = "STATUS_MUTANT_NOT_OWNED",
        [0xC0000047] = "STATUS_SEMAPHORE_LIMIT_EXCEEDED",
        [0xC0000056] = "STATUS_DELETE_PENDING",
        [0xC000007A] = "STATUS_PROCEDURE_NOT_FOUND",
        [0xC0000094] = "STATUS_INTEGER_DIVIDE_BY_ZERO",
        [0xC0000095] = "STATUS_INTEGER_OVERFLOW",
        [0xC000009A] = "STATUS_INSUFFICIENT_RESOURCES",
        [0xC00000A3] = "STATUS_DEVICE_NOT_READY",
        [0xC00000B5] = "STATUS_IO_TIMEOUT",
        [0xC00000BB] = "STATUS_NOT_SUPPORTED",
        [0xC00000E5] = "STATUS_INTERNAL_ERROR",
        [0xC00000EF] = "STATUS_INVALID_PARAMETER_1",
        [0xC000010A] = "STATUS_PROCESS_IS_TERMINATING",
        [0xC0000120] = "STATUS_CANCELLED",
        [0xC0000129] = "STATUS_TOO_MANY_THREADS",
        [0xC0000225] = "STATUS_NOT_FOUND",
        [0xC0000262] = "STATUS_DRIVER_ORDINAL_NOT_FOUND",
        [0xC0000263] = "STATUS_DRIVER_ENTRYPOINT_NOT_FOUND",
        [0xC0000420] = "STATUS_ASSERTION_FAILURE",
    };

    /// <summary>NT_SUCCESS: success and informational codes.</summary>
    public bool IsSuccess => (int)Value >= 0;

    /// <summary>NT_ERROR: severity 3.</summary>
    public bool IsError => Value >> 30 == 3;

    /// <summary>"0xc0000120".</summary>
    public string Hex => "0x" + Value.ToString("x8", CultureInfo.InvariantCulture);

    /// <summary>"STATUS_CANCELLED", or the hexadecimal value when the name is not in the table.</summary>
    public override string ToString() => Names.GetValueOrDefault(Value, Hex);
}

/// <summary>"0xc0000120".</summary>
public sealed class NtStatusJson : JsonConverter<NtStatus>
{
    public override NtStatus Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        new(checked((uint)HexText.ParseUInt64(reader.GetString())));

    public override void Write(Utf8JsonWriter writer, NtStatus value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.Hex);
}
