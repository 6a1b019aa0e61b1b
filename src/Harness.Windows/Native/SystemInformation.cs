using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Text;
using Harness.Core.Nt;

namespace Harness.Windows.Native;

/// <summary>A process as SYSTEM_PROCESS_INFORMATION tells it.</summary>
/// <param name="Pid">Its process ID.</param>
/// <param name="Image">"driver.exe"; empty for the idle process.</param>
/// <param name="Handles">Open handles.</param>
/// <param name="Created">FILETIME of its start: with the process ID it names a process for ever.</param>
/// <param name="Threads">Its threads.</param>
public sealed record ListedProcess(int Pid, string Image, int Handles, long Created, IReadOnlyList<ListedThread> Threads);

/// <summary>A thread as SYSTEM_THREAD_INFORMATION tells it.</summary>
public sealed record ListedThread(int Tid, ThreadState State, WaitReason WaitReason);

/// <summary>A handle as SYSTEM_HANDLE_TABLE_ENTRY_INFO_EX tells it.</summary>
/// <param name="Owner">Whose handle it is.</param>
/// <param name="Value">Its value there.</param>
/// <param name="ObjectType">The index of the object's type.</param>
public sealed record ListedHandle(int Owner, nint Value, int ObjectType);

/// <summary>A kernel module as RTL_PROCESS_MODULE_INFORMATION tells it.</summary>
public sealed record ListedModule(string FileName, KernelAddress Base, uint Size);

/// <summary>NtQuerySystemInformation.</summary>
[SupportedOSPlatform("windows")]
public static partial class SystemInformation
{
    // learn.microsoft.com names the first three; the others are in phnt's ntexapi.h.
    private const int ProcessInformation = 5, CodeIntegrityInformation = 103, ModuleInformation = 11, ExtendedHandleInformation = 64;

    /// <summary>CODEINTEGRITY_OPTION_TESTSIGN (learn.microsoft.com, NtQuerySystemInformation).</summary>
    private const uint TestSign = 0x02;

    /// <summary>No machine has so much to tell.</summary>
    private const int Largest = 1 << 30;

    /// <summary>Every process that the system lists.</summary>
    /// <exception cref="WindowsException">The system does not tell.</exception>
    public static IReadOnlyList<ListedProcess> Processes() => ParseProcesses(Query(ProcessInformation, "SystemProcessInformation"));

    /// <summary>Every handle of every process that may be seen.</summary>
    /// <exception cref="WindowsException">The system does not tell.</exception>
    public static IReadOnlyList<ListedHandle> Handles() => ParseHandles(Query(ExtendedHandleInformation, "SystemExtendedHandleInformation"));

    /// <summary>The modules of the kernel, nt first.</summary>
    /// <exception cref="WindowsException">The system does not tell.</exception>
    public static IReadOnlyList<ListedModule> Modules() => ParseModules(Query(ModuleInformation, "SystemModuleInformation"));

    /// <summary>Test signing is on; null when the system does not tell.</summary>
    public static unsafe bool? TestSigning
    {
        get
        {
            Span<uint> information = [8, 0];
            fixed (uint* at = information)
                return new NtStatus(NtQuerySystemInformation(CodeIntegrityInformation, at, 8, out _)).IsSuccess ? (information[1] & TestSign) != 0 : null;
        }
    }

    // x64: SYSTEM_PROCESS_INFORMATION is 0x100 bytes, then its SYSTEM_THREAD_INFORMATIONs of 0x50. A name lies behind, at an address within the same buffer.
    internal static IReadOnlyList<ListedProcess> ParseProcesses((byte[] Bytes, ulong At) told)
    {
        var processes = new List<ListedProcess>();
        ReadOnlySpan<byte> all = told.Bytes;
        for (var at = 0; at + 0x100 <= all.Length;)
        {
            var process = all[at..];
            var threads = new List<ListedThread>();
            for (var i = 0; i < U32(process, 4); i++)
            {
                var thread = process[(0x100 + (i * 0x50))..];
                threads.Add(new ListedThread((int)U64(thread, 0x30), (ThreadState)(byte)U32(thread, 0x44), (WaitReason)(byte)U32(thread, 0x48)));
            }

            processes.Add(new ListedProcess((int)U64(process, 0x50), Name(told, process[0x38..]), (int)U32(process, 0x60), (long)U64(process, 0x20), threads));
            if (U32(process, 0) == 0) break;
            at += (int)U32(process, 0);
        }

        return processes;
    }

    // SYSTEM_HANDLE_INFORMATION_EX: a count of 8 bytes, 8 reserved, entries of 0x28.
    internal static IReadOnlyList<ListedHandle> ParseHandles((byte[] Bytes, ulong At) told)
    {
        ReadOnlySpan<byte> all = told.Bytes;
        var handles = new List<ListedHandle>();
        for (var i = 0; i < (int)U64(all, 0) && 0x10 + ((i + 1) * 0x28) <= all.Length; i++)
        {
            var entry = all[(0x10 + (i * 0x28))..];
            handles.Add(new ListedHandle((int)U64(entry, 8), (nint)U64(entry, 0x10), BinaryPrimitives.ReadUInt16LittleEndian(entry[0x1E..])));
        }

        return handles;
    }

    // RTL_PROCESS_MODULES: a count of 4 bytes, 4 of padding, entries of 0x128.
    internal static IReadOnlyList<ListedModule> ParseModules((byte[] Bytes, ulong At) told)
    {
        ReadOnlySpan<byte> all = told.Bytes;
        var modules = new List<ListedModule>();
        for (var i = 0; i < (int)U32(all, 0) && 8 + ((i + 1) * 0x128) <= all.Length; i++)
        {
            var entry = all[(8 + (i * 0x128))..];
            var path = entry[0x28..0x128];
            var end = path.IndexOf((byte)0);
            var name = BinaryPrimitives.ReadUInt16LittleEndian(entry[0x26..]);
            modules.Add(new ListedModule(name < end ? Encoding.Latin1.GetString(path[name..end]) : "", new KernelAddress(U64(entry, 0x10)), U32(entry, 0x18)));
        }

        return modules;
    }

    private static string Name((byte[] Bytes, ulong At) told, ReadOnlySpan<byte> unicodeString)
    {
        var length = BinaryPrimitives.ReadUInt16LittleEndian(unicodeString);
        var from = U64(unicodeString, 8) - told.At;
        return from <= (ulong)told.Bytes.Length && from + length <= (ulong)told.Bytes.Length ? Encoding.Unicode.GetString(told.Bytes, (int)from, length) : "";
    }

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[at..]);

    // What it tells grows while one asks.
    private static unsafe (byte[] Bytes, ulong At) Query(int infoClass, string name)
    {
        for (var length = 1 << 18; length <= Largest; length *= 2)
        {
            var bytes = GC.AllocateUninitializedArray<byte>(length, pinned: true);
            fixed (byte* at = bytes)
            {
                var status = new NtStatus(NtQuerySystemInformation(infoClass, at, (uint)length, out var returned));
                if (status == NtStatus.InfoLengthMismatch || status == NtStatus.BufferTooSmall) continue;
                if (!status.IsSuccess) throw new WindowsException($"NtQuerySystemInformation({name})", LastStatus.ToCode(status));
                return (bytes.AsSpan(0, (int)Math.Min(returned, (uint)length)).ToArray(), (ulong)at);
            }
        }

        throw new WindowsException($"NtQuerySystemInformation({name})", 8);
    }

    // learn.microsoft.com/windows/win32/api/winternl/nf-winternl-ntquerysysteminformation
    [LibraryImport("ntdll")]
    private static unsafe partial uint NtQuerySystemInformation(int infoClass, void* information, uint length, out uint returned);
}
