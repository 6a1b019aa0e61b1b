using System.Globalization;
using System.Runtime.InteropServices;
using Harness.Core.Nt;

namespace Harness.Windows.Native;

/// <summary>A call of Windows that failed: which, its code, the system's text and, where there usually is one, the cause and the cure.</summary>
public sealed class WindowsException : Exception
{
    /// <param name="call">"StartService(name)".</param>
    /// <param name="code">Of GetLastError.</param>
    public WindowsException(string call, int code)
        : base(Says(call, code)) => (Call, Code) = (call, code);

    /// <summary>"StartService(name)".</summary>
    public string Call { get; }

    /// <summary>Of GetLastError (learn.microsoft.com, "System Error Codes").</summary>
    public int Code { get; }

    /// <summary>The code as an NTSTATUS: what RtlNtStatusToDosError makes it from where that is one value, else in FACILITY_NTWIN32 ([MS-ERREF] 2.3).</summary>
    public NtStatus Status => ToStatus(Code);

    /// <summary>As <see cref="Status"/>.</summary>
    public static NtStatus ToStatus(int code) => code switch
    {
        0 => NtStatus.Success,
        5 => NtStatus.AccessDenied,
        6 => NtStatus.InvalidHandle,
        87 => NtStatus.InvalidParameter,
        258 => NtStatus.Timeout,
        995 => NtStatus.Cancelled,
        997 => NtStatus.Pending,
        1168 => NtStatus.NotFound,
        _ => new NtStatus(0xC0070000 | (uint)(code & 0xFFFF)),
    };

    /// <summary>The exception of the call that has just failed on this thread.</summary>
    public static WindowsException Last(string call) => new(call, Marshal.GetLastPInvokeError());

    private static string Says(string call, int code)
    {
        var text = Marshal.GetPInvokeErrorMessage(code).ReplaceLineEndings(" ").Trim().TrimEnd('.');
        var cause = LikelyCause.Of(code);
        return $"{call}: error {code.ToString(CultureInfo.InvariantCulture)}{(text.Length > 0 ? $" ({text})" : "")}{(cause is null ? "" : $": {cause}")}";
    }
}
