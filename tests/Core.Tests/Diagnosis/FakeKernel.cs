using System.Text;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;

namespace Core.Tests.Diagnosis;

/// <summary>
/// A small kernel's structures, laid out as a build has them: the kernel image with routines to stand on a stack, a driver with a device,
/// and whatever processes, threads and IRPs a test adds.
/// </summary>
internal sealed class FakeKernel
{
    public const uint FrameSize = 0x58;
    public static readonly KernelAddress KernelBase = new(0xFFFFF803_10000000);
    public static readonly KernelAddress DriverBase = new(0xFFFFF803_20000000);
    public static readonly KernelAddress UserRip = new(0x7FFA_1234_5678);

    /// <summary>What a hung synchronous request's stack has, innermost first, without KiSwapContext.</summary>
    public static readonly string[] Abort = ["KeWaitForSingleObject", "IopCancelAlertedRequest", "IopSynchronousServiceTail", "IopXxxControlFile", "NtDeviceIoControlFile"];

    /// <summary>The same for the last thread of a process that closes a file with an outstanding IRP.</summary>
    public static readonly string[] Rundown = ["KeDelayExecutionThread", "IopCleanupProcessResources", "IopCloseFile", "PspExitThread"];

    private static readonly string[] Routines = [.. Abort.Concat(Rundown)];

    // Variables of the kernel image.
    private const uint LoadedModuleListRva = 0x7F00, InitialSystemProcessRva = 0x7F20;

    private KernelAddress _next = new(0xFFFFA00A_00000000);
    private KernelAddress _nextStack = new(0xFFFFB00B_00000000);

    /// <param name="build">Whose layouts.</param>
    /// <param name="exportsAll">False: nt exports what Windows does, and its own routines have no names.</param>
    /// <param name="layout">Of a build that the table does not have.</param>
    public FakeKernel(int build = 19041, bool exportsAll = true, NtLayout? layout = null)
    {
        Memory = new FakeMemory(build, layout);
        Layout = Memory.Layout;
        Memory.ActiveProcessHead = Allocate(16);
        Memory.LoadedModuleList = KernelBase + LoadedModuleListRva;
        Memory.ListHead(Memory.ActiveProcessHead);
        AddModule("ntoskrnl.exe", KernelBase, KernelImage(exportsAll));
        AddModule("sample.sys", DriverBase, DriverImage());
        RootDirectory = NamedObject(0x40, @"\", KernelAddress.Null);
        DeviceDirectory = NamedObject(0x40, "Device", RootDirectory);
        Driver = AddDriver(DriverBase, @"\Driver\Sample");
    }

    public FakeMemory Memory { get; }

    public NtLayout Layout { get; }

    public KernelAddress RootDirectory { get; }

    public KernelAddress DeviceDirectory { get; }

    public KernelAddress Driver { get; }

    public KernelView View(long readLimit = KernelMemoryReader.DefaultReadLimit) => new(Memory, readLimit);

    public KernelAddress Allocate(uint size)
    {
        var at = _next;
        _next += (size + 0x3Fu) & ~0xFu;
        Memory.Write(at, new byte[size]);
        return at;
    }

    /// <summary>A block of pool with its POOL_HEADER, the body not across pages.</summary>
    public KernelAddress AllocatePool(string tag, uint size)
    {
        const uint Page = 0x1000;
        if ((_next.Value & (Page - 1)) + 0x10 + size > Page) _next = new((_next.Value + Page - 1) & ~(Page - 1UL));
        var header = Allocate(size + 0x10);
        Memory.Byte(header + PoolHeaderLayout.BlockSize, (int)((size + 0x1F) / 0x10));
        Memory.Byte(header + PoolHeaderLayout.PoolType, 2);
        Memory.Write(header + PoolHeaderLayout.PoolTag, Encoding.ASCII.GetBytes(tag));
        return header + 0x10;
    }

    /// <summary>A handle table with these objects' headers (or objects, for that of process IDs) at these handles, behind so many levels of pages.</summary>
    public KernelAddress AddHandleTable(int levels, params (ulong Handle, KernelAddress Pointer)[] entries)
    {
        var table = Allocate(0x80);
        var leaves = new KernelAddress[(entries.Length == 0 ? 0 : entries.Max(e => e.Handle) / 1024) + 1];
        for (var i = 0; i < leaves.Length; i++) leaves[i] = Allocate(0x1000);
        foreach (var (handle, pointer) in entries) Memory.UInt64(leaves[handle / 1024] + (handle % 1024 / 4 * 16), ((pointer.Value & 0xFFFF_FFFF_FFFF) >> 4) << 20 | 1);
        var top = leaves;
        for (var level = 0; level < levels; level++)
        {
            var page = Allocate(0x1000);
            foreach (var (i, child) in top.Index()) Memory.Pointer(page + ((ulong)i * 8), child);
            top = [page];
        }

        // Allocate aligns to 16, as the low bits of TableCode need.
        Memory.UInt64(table + HandleTableLayout.TableCode, top[0].Value | (uint)levels);
        return table;
    }

    public KernelAddress AddModule(string file, KernelAddress imageBase, byte[] image)
    {
        Memory.Write(imageBase, image);
        var entry = Allocate(Layout.LoadedModule.SizeInBytes);
        Memory.Pointer(entry + Layout.LoadedModule.DllBase, imageBase);
        Memory.UInt32(entry + Layout.LoadedModule.SizeOfImage, (uint)image.Length);
        Memory.UnicodeString(entry + Layout.LoadedModule.BaseDllName, Allocate(0x100), file);
        Memory.Append(Memory.LoadedModuleList, entry + Layout.LoadedModule.InLoadOrderLinks);
        return entry;
    }

    /// <summary>The debug directory of an image: it was linked with this PDB.</summary>
    /// <param name="path">As the linker wrote it.</param>
    public void LinkedWith(KernelAddress imageBase, PdbIdentity pdb, string? path = null)
    {
        var debug = (imageBase == KernelBase ? 0x8000u : 0x4000u) - 0x200;
        Memory.UInt32(imageBase + 0x80 + 0x88 + 48, debug);
        Memory.UInt32(imageBase + 0x80 + 0x8C + 48, 28);
        Memory.UInt32(imageBase + debug + 12, 2);
        Memory.UInt32(imageBase + debug + 20, debug + 0x20);
        Memory.Write(imageBase + debug + 0x20, [.. "RSDS"u8, .. pdb.Guid.ToByteArray(), .. BitConverter.GetBytes(pdb.Age), .. Encoding.ASCII.GetBytes(path ?? pdb.Name), 0]);
    }

    public KernelAddress AddProcess(int pid, string image)
    {
        var process = AllocatePool("Proc", Layout.EProcess.SizeInBytes + Layout.ObjectHeader.Body) + Layout.ObjectHeader.Body;
        Memory.Byte(process + Layout.DispatcherHeader.Type, 3);
        Memory.UInt64(process + Layout.EProcess.UniqueProcessId, (ulong)pid);
        Memory.Write(process + Layout.EProcess.ImageFileName, Encoding.ASCII.GetBytes(image.Length > 14 ? image[..14] : image));
        Memory.UInt32(process + Layout.EProcess.ExitStatus, NtStatus.Pending.Value);
        Memory.ListHead(process + Layout.EProcess.ThreadListHead);
        // KPROCESS.ProfileListHead
        Memory.ListHead(process + 0x18);
        Memory.Append(Memory.ActiveProcessHead, process + Layout.EProcess.ActiveProcessLinks);
        if (Memory.UInt64(KernelBase + InitialSystemProcessRva) == 0) Memory.Pointer(KernelBase + InitialSystemProcessRva, process);
        return process;
    }

    public void Terminate(KernelAddress process) => Memory.UInt32(process + Layout.EProcess.Flags, 0x8);

    public KernelAddress AddThread(KernelAddress process, int tid, ThreadState state = ThreadState.Running)
    {
        var thread = Allocate(Layout.EThread.SizeInBytes);
        Memory.Byte(thread + Layout.DispatcherHeader.Type, 6);
        Memory.Byte(thread + Layout.KThread.State, (int)state);
        Memory.Pointer(thread + Layout.KThread.Process, process);
        Memory.UInt64(thread + Layout.EThread.Cid + 8, (ulong)tid);
        Memory.ListHead(thread + Layout.EThread.IrpList);
        Memory.Append(process + Layout.EProcess.ThreadListHead, thread + Layout.EThread.ThreadListEntry);
        var stack = _nextStack;
        _nextStack += 0x10000;
        Memory.Write(stack, new byte[0x6000]);
        Memory.Pointer(thread + Layout.KThread.StackLimit, stack);
        Memory.Pointer(thread + Layout.KThread.StackBase, stack + 0x6000);
        Memory.Pointer(thread + Layout.KThread.InitialStack, stack + 0x6000 - 0x50);
        return thread;
    }

    /// <summary>Makes a thread wait, its wait block linked to the object and its stack as the routines leave it.</summary>
    public void Wait(KernelAddress thread, WaitReason reason, KernelAddress target, string[] routines, ProcessorMode mode = ProcessorMode.KernelMode, bool alertable = false)
    {
        Memory.Byte(thread + Layout.KThread.State, (int)ThreadState.Waiting);
        Memory.Byte(thread + Layout.KThread.WaitReason, (int)reason);
        Memory.Byte(thread + Layout.KThread.WaitMode, (int)mode);
        Memory.UInt32(thread + Layout.KThread.Alertable.Offset, Layout.KThread.Alertable.With(0, alertable ? 1u : 0));
        var block = thread + Layout.KThread.WaitBlock;
        Memory.Pointer(thread + Layout.KThread.WaitBlockList, block);
        Memory.Pointer(block + Layout.WaitBlock.Thread, thread);
        Memory.Pointer(block + Layout.WaitBlock.Object, target);
        Stack(thread, routines);
    }

    public KernelAddress AddDriver(KernelAddress start, string name)
    {
        var driver = Allocate(Layout.DriverObject.SizeInBytes);
        Memory.UInt16(driver + Layout.DriverObject.Type, DriverObjectLayout.TypeCode);
        Memory.Pointer(driver + Layout.DriverObject.DriverStart, start);
        Memory.UnicodeString(driver + Layout.DriverObject.DriverName, Allocate(0x100), name);
        return driver;
    }

    /// <summary>A device of a driver; unnamed when <paramref name="name"/> is null.</summary>
    public KernelAddress AddDevice(string? name, KernelAddress? driver = null, uint extension = 0x40)
    {
        var size = Layout.DeviceObject.SizeInBytes + extension;
        var device = name is null ? Object(size, 0) : NamedObject(size, name, DeviceDirectory);
        Memory.UInt16(device + Layout.DeviceObject.Type, DeviceObjectLayout.TypeCode);
        Memory.UInt16(device + Layout.DeviceObject.Size, (int)size);
        Memory.Pointer(device + Layout.DeviceObject.DriverObject, driver ?? Driver);
        return device;
    }

    /// <summary>IoAttachDeviceToDeviceStack.</summary>
    public void Attach(KernelAddress above, KernelAddress below)
    {
        var extension = Allocate(0x70);
        Memory.Pointer(above + Layout.DeviceObject.DeviceObjectExtension, extension);
        Memory.Pointer(extension + DeviceObjectLayout.AttachedTo, below);
        Memory.Pointer(below + Layout.DeviceObject.AttachedDevice, above);
    }

    public KernelAddress AddFile(KernelAddress device, string name = "")
    {
        var file = Object(Layout.FileObject.SizeInBytes, 0);
        Memory.UInt16(file + Layout.FileObject.Type, FileObjectLayout.TypeCode);
        Memory.UInt16(file + Layout.FileObject.Size, (int)Layout.FileObject.SizeInBytes);
        Memory.Pointer(file + Layout.FileObject.DeviceObject, device);
        Memory.UnicodeString(file + Layout.FileObject.FileName, Allocate(0x100), name);
        Memory.ListHead(file + Layout.FileObject.IrpList);
        Memory.Byte(file + Layout.FileObject.Lock, 1);
        return file;
    }

    /// <summary>An IRP with all its stack locations for a device control to the device, on no list.</summary>
    public KernelAddress AddIrp(KernelAddress thread, KernelAddress device, KernelAddress file, uint code = 0x222008, int stackCount = 1, int? current = null)
    {
        var size = Layout.Irp.SizeInBytes + ((uint)stackCount * Layout.StackLocation.SizeInBytes);
        var irp = AllocatePool("Irp ", size);
        Memory.UInt16(irp + Layout.Irp.Type, IrpLayout.TypeCode);
        Memory.UInt16(irp + Layout.Irp.Size, (int)size);
        Memory.UInt32(irp + Layout.Irp.Flags, 0x60070);
        Memory.Byte(irp + Layout.Irp.StackCount, stackCount);
        Memory.Pointer(irp + Layout.Irp.Thread, thread);
        Memory.Pointer(irp + Layout.Irp.OriginalFileObject, file);
        for (var number = 1; number <= stackCount; number++)
        {
            var location = Location(irp, number);
            Memory.Byte(location + Layout.StackLocation.MajorFunction, (int)IrpMajor.DeviceControl);
            Memory.Byte(location + Layout.StackLocation.Control, StackLocationLayout.PendingReturned);
            Memory.UInt64(location + Layout.StackLocation.OutputBufferLength, 0x10);
            Memory.UInt32(location + Layout.StackLocation.IoControlCode, code);
            Memory.Pointer(location + Layout.StackLocation.DeviceObject, device);
            Memory.Pointer(location + Layout.StackLocation.FileObject, file);
        }

        SetCurrent(irp, current ?? stackCount);
        return irp;
    }

    public void SetCurrent(KernelAddress irp, int number)
    {
        Memory.Byte(irp + Layout.Irp.CurrentLocation, number);
        Memory.Pointer(irp + Layout.Irp.CurrentStackLocation, Location(irp, number));
    }

    public KernelAddress Location(KernelAddress irp, int number) => irp + Layout.Irp.SizeInBytes + ((ulong)(number - 1) * Layout.StackLocation.SizeInBytes);

    public void OnThreadList(KernelAddress thread, KernelAddress irp) => Memory.Append(thread + Layout.EThread.IrpList, irp + Layout.Irp.ThreadListEntry);

    public void OnFileList(KernelAddress file, KernelAddress irp) => Memory.Append(file + Layout.FileObject.IrpList, irp + Layout.Irp.ThreadListEntry);

    /// <summary>The driver's own routine on a stack.</summary>
    public const string Dispatch = "sample.sys";

    /// <summary>A routine of the kernel, the driver's, or that of a <see cref="DriverImage"/> at this address.</summary>
    public static KernelAddress Routine(string name) => name.StartsWith("0x", StringComparison.Ordinal) ? new KernelAddress(HexText.ParseUInt64(name)) + FakeImage.CodeRva : name == Dispatch ? DriverBase + FakeImage.CodeRva : KernelBase + FakeImage.CodeRva + ((ulong)Array.IndexOf(Routines, name) * 0x100);

    public static KernelAddress SwapContext { get; } = KernelBase + FakeImage.CodeRva + 0x1000;

    public static KernelAddress SystemService { get; } = KernelBase + FakeImage.CodeRva + 0x1100;

    /// <summary>
    /// Writes a stack: a trap frame from user mode, then a frame for each routine (each stands at its 0x20th byte), then KiSwapContext
    /// and a KSWITCH_FRAME.
    /// </summary>
    /// <returns>RSP in each routine's frame, innermost first.</returns>
    public IReadOnlyList<KernelAddress> Stack(KernelAddress thread, params string[] routines)
    {
        var pointers = new List<KernelAddress>();
        var rsp = new KernelAddress(Memory.UInt64(thread + Layout.KThread.InitialStack)) - 0x28;
        Memory.Pointer(rsp, UserRip);
        Memory.UInt64(rsp + 24, 0x12_3456_7000);
        rsp -= 0x168;
        var returnTo = SystemService + 0x25;
        foreach (var routine in routines.Reverse())
        {
            rsp -= 8;
            Memory.Pointer(rsp, returnTo);
            rsp -= FrameSize;
            pointers.Insert(0, rsp);
            returnTo = Routine(routine) + 0x20;
        }

        rsp -= 8;
        Memory.Pointer(rsp, returnTo);
        rsp -= 0x138;
        var frame = rsp - Layout.SwitchFrame.SizeInBytes;
        Memory.Pointer(frame + Layout.SwitchFrame.Return, SwapContext + 0x76);
        Memory.UInt64(frame + Layout.SwitchFrame.Rbp, 0xB9);
        Memory.Pointer(thread + Layout.KThread.KernelStack, frame);
        return pointers;
    }

    /// <summary>An object with a header, and optional headers before that.</summary>
    public KernelAddress Object(uint size, byte infoMask)
    {
        var before = (ObjectHeaderLayout.NameInfoBefore(infoMask) ?? ((infoMask & ObjectHeaderLayout.CreatorInfo) == 0 ? 0 : ObjectHeaderLayout.CreatorInfoSize)) + Layout.ObjectHeader.Body;
        var body = Allocate(size + before) + before;
        Memory.Byte(body - Layout.ObjectHeader.Body + Layout.ObjectHeader.InfoMask, infoMask);
        return body;
    }

    public KernelAddress NamedObject(uint size, string name, KernelAddress directory, bool creatorInfo = false)
    {
        var mask = (byte)(ObjectHeaderLayout.NameInfo | (creatorInfo ? ObjectHeaderLayout.CreatorInfo : 0));
        var body = Object(size, mask);
        var info = body - Layout.ObjectHeader.Body - ObjectHeaderLayout.NameInfoBefore(mask)!.Value;
        Memory.Pointer(info + ObjectHeaderLayout.NameInfoDirectory, directory);
        Memory.UnicodeString(info + ObjectHeaderLayout.NameInfoName, Allocate(0x100), name);
        return body;
    }

    /// <summary>"sub rsp, FrameSize", int3, and a call that ends at the 0x20th byte.</summary>
    private static byte[] RoutineCode() => [0x48, 0x83, 0xEC, (byte)FrameSize, .. Enumerable.Repeat((byte)0xCC, 0x17), 0xE8, 0, 0, 0, 0, .. Enumerable.Repeat((byte)0xCC, 0xE0)];

    public static byte[] DriverImage()
    {
        var image = new FakeImage();
        return image.Function(FakeImage.CodeRva, FakeImage.CodeRva + 0x100, image.UnwindInfo(Unwind.AllocateSmall(4, (int)FrameSize), prologue: 4)).Code(FakeImage.CodeRva, RoutineCode()).Build();
    }

    /// <summary>Every routine 0x100 bytes, "sub rsp, FrameSize" and int3; KiSwapContext saves the nonvolatile registers; a system service entry has a trap frame.</summary>
    private static byte[] KernelImage(bool exportsAll)
    {
        var image = new FakeImage { ExportName = "ntoskrnl.exe" }.Export("PsLoadedModuleList", LoadedModuleListRva).Export("PsInitialSystemProcess", InitialSystemProcessRva);
        var list = BitConverter.GetBytes(KernelBase.Value + LoadedModuleListRva);
        image.Code(LoadedModuleListRva, [.. list, .. list]);
        var plain = image.UnwindInfo(Unwind.AllocateSmall(4, (int)FrameSize), prologue: 4);
        for (var i = 0; i < Routines.Length; i++)
        {
            var rva = FakeImage.CodeRva + ((uint)i * 0x100);
            if (exportsAll || Routines[i].StartsWith("Ke", StringComparison.Ordinal) || Routines[i].StartsWith("Nt", StringComparison.Ordinal)) image.Export(Routines[i], rva);
            image.Function(rva, rva + 0x100, plain).Code(rva, RoutineCode());
        }

        var swap = (uint)(SwapContext.Value - KernelBase.Value);
        if (exportsAll) image.Export("KiSwapContext", swap).Export("KiSystemServiceCopyEnd", swap + 0x100);
        image.Code(swap, [.. Enumerable.Repeat((byte)0xCC, 0x200)])
            .Function(swap, swap + 0x100, image.UnwindInfo(Unwind.Of(Unwind.Save(12, 3, 0x100), Unwind.Save(10, 6, 0x108), Unwind.Save(9, 7, 0x110), Unwind.Allocate(8, 0x138)), prologue: 12));
        image.Function(swap + 0x100, swap + 0x200, image.UnwindInfo(Unwind.Of(Unwind.Allocate(0, 0x168), Unwind.MachineFrame(0, errorCode: false))));
        return image.Build();
    }
}
