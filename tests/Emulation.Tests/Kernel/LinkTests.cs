using System.Text.RegularExpressions;
using FluentAssertions;
using Harness.Emulation.Kernel;
using Xunit;

namespace Emulation.Tests.Kernel;

/// <summary>driver/toolchain/ntoskrnl.def names what drivers can be linked against: all that is modelled and that Windows exports.</summary>
public sealed partial class LinkTests
{
    // Modelled, and not exported by ntoskrnl.exe or hal.dll for x64 (Windows 10, 19041): macros and inline functions of the headers, whose names
    // older or other systems export; system services that only user mode can call; routines and variables of nt's own without a telling prefix.
    private static readonly string[] NotExported =
    [
        "ExAllocateFromNPagedLookasideList", "ExAllocatePoolZero", "ExFreeToNPagedLookasideList", "ExInitializeFastMutex", "ExInitializeSListHead", "ExInterlockedAddLargeStatistic",
        "ExInterlockedFlushSList", "ExInterlockedPopEntrySList", "ExInterlockedPushEntrySList", "InterlockedFlushSList", "InterlockedPopEntrySList", "InterlockedPushEntrySList",
        "IoCreateDeviceSecure", "IoGetRemainingStackSize", "IoSizeOfIrp", "KeAcquireFastMutex", "KeFlushIoBuffers", "KeGetCurrentProcessorNumber", "KeMemoryBarrier", "KeQueryInterruptTime",
        "KeQuerySystemTime", "KeQueryTickCount", "KeReleaseFastMutex", "KeTickCount", "KeTryToAcquireFastMutex", "KfLowerIrql", "MmLockPagableCodeSection", "ObReferenceObject",
        "QueryDepthSList", "RtlCheckBit", "RtlEqualMemory", "RtlFillMemoryUlong", "RtlFirstEntrySList", "RtlInitializeSListHead", "RtlInterlockedFlushSList", "RtlInterlockedPopEntrySList",
        "RtlInterlockedPushEntrySList", "RtlQueryDepthSList", "RtlSecureZeroMemory", "RtlUlongByteSwap", "RtlUlonglongByteSwap", "RtlUniform", "RtlUshortByteSwap",
        "WdmlibIoCreateDeviceSecure", "_atoi64", "isalnum", "isalpha", "iswalnum", "iswalpha", "iswdigit", "iswspace", "strcspn", "strtol", "strtoul", "vswprintf", "wcstol",
        "NtCancelIoFile", "NtCancelIoFileEx", "NtCancelSynchronousIoFile", "NtClearEvent", "NtCreateKey", "NtCreateSemaphore", "NtDelayExecution", "NtDeleteKey", "NtDeleteValueKey",
        "NtEnumerateKey", "NtEnumerateValueKey", "NtFlushKey", "NtOpenEvent", "NtOpenKey", "NtOpenKeyEx", "NtOpenSemaphore", "NtQueryValueKey", "NtReleaseSemaphore", "NtResetEvent",
        "NtSetValueKey", "NtTerminateProcess", "NtTerminateThread", "NtWaitForMultipleObjects", "NtYieldExecution", "ZwCreateSemaphore", "ZwDelayExecution", "ZwOpenSemaphore", "ZwReleaseSemaphore",
        "ExSweepHandleTable", "IoCancelThreadIo", "KeRemoveQueueApc", "ObCloseHandleTableEntry", "ObKillProcess", "PsActiveProcessHead", "PsExitSpecialApc", "PsLoadedModuleList",
        "RtlDispatchException", "RtlInitStringEx", "RtlRaiseStatus",
    ];

    private static readonly Dictionary<string, bool> Definitions = File.ReadLines(Path.Combine(Root(), "driver", "toolchain", "ntoskrnl.def"))
        .SkipWhile(line => line != "EXPORTS").Skip(1).Select(line => line.Split(' ')).ToDictionary(words => words[0], words => words is [_, "DATA"]);

    [Fact]
    public void Every_modelled_export_that_windows_has_can_be_linked()
    {
        var modelled = NtImage.Instance.Names.Where(name => !Definitions.ContainsKey(name) && !Internal().IsMatch(name)).ToList();

        modelled.Except(NotExported).Should().BeEmpty("a modelled export belongs into driver/toolchain/ntoskrnl.def, or, if Windows does not export it, into this test's list");
        NotExported.Except(modelled).Should().BeEmpty("the list names nothing that is not modelled or can be linked");
    }

    [Fact]
    public void A_variable_is_linked_as_data_and_a_routine_as_code()
    {
        var variables = NtData.Exports.Select(export => export.Name).ToHashSet();

        Definitions.Where(definition => definition.Value).Select(definition => definition.Key).Should().BeSubsetOf(variables);
        Definitions.Where(definition => !definition.Value).Select(definition => definition.Key).Should().NotContain(name => variables.Contains(name));
    }

    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "DriverFaultHarness.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException($"{AppContext.BaseDirectory} is not inside the repository");
    }

    // NT's prefixes of what a component keeps to itself: i or p after the component's own.
    [GeneratedRegex("^(Ki|Iop|Obp|Psp|Rtlp|Rtlx|Exp)[A-Z]")]
    private static partial Regex Internal();
}
