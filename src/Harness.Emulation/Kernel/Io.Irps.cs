using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>IRPs as memory: allocation, initialization, the ones that drivers build.</summary>
internal static partial class Io
{
    private static void DefineIrps(NtRoutines nt)
    {
        nt.Add("IoAllocateIrp", p => p.Return(Ex.OwnedByCaller(p.Machine, AllocateIrp(p.Machine, p.Arg8(0)).Address)));
        nt.Add("IoFreeIrp", p =>
        {
            FreeIrp(p.Machine, IrpAt(p, p.Arg(0)));
            return p.Return();
        });
        nt.Add("IoInitializeIrp", p =>
        {
            InitializeIrp(IrpAt(p, p.Arg(0)), (ushort)p.Arg(1), (sbyte)p.Arg8(2));
            return p.Return();
        });
        nt.Add("IoReuseIrp", p =>
        {
            var irp = IrpAt(p, p.Arg(0));
            var (flags, size, count) = (irp.AllocationFlags, irp.PacketSize, irp.StackCount);
            InitializeIrp(irp, size, count);
            irp.AllocationFlags = flags;
            irp.Status = new NtStatus(p.Arg32(1));
            return p.Return();
        });
        nt.Add("IoSizeOfIrp", p => p.Return((ulong)SizeOfIrp((sbyte)p.Arg8(0))));
        nt.Add("IoMakeAssociatedIrp", MakeAssociated);
        nt.Add("IoBuildDeviceIoControlRequest", BuildControlRequest);
        nt.Add("IoBuildSynchronousFsdRequest", p => BuildTransferRequest(p, synchronous: true));
        nt.Add("IoBuildAsynchronousFsdRequest", p => BuildTransferRequest(p, synchronous: false));
        nt.Add("IoSetTopLevelIrp", p =>
        {
            p.Memory.WriteU64(p.CurrentThread.Address + 0x4C0, p.Arg(0));
            return p.Return();
        });
        nt.Add("IoGetTopLevelIrp", p => p.Return(p.Memory.ReadU64(p.CurrentThread.Address + 0x4C0)));
        nt.Add("IoGetRequestorProcess", p => p.Return(IrpAt(p, p.Arg(0)).Thread.IsNull ? 0 : IrpAt(p, p.Arg(0)).Thread.Process.Address));
        nt.Add("IoGetRequestorProcessId", p => p.Return(IrpAt(p, p.Arg(0)).Thread.IsNull ? 0 : IrpAt(p, p.Arg(0)).Thread.UniqueProcess));
        nt.Add("IoIsOperationSynchronous", p =>
        {
            var irp = IrpAt(p, p.Arg(0));
            return p.Return((irp.Flags & (Irp.FlagSynchronousApi | Irp.FlagSynchronousPagingIo)) != 0 || !irp.OriginalFileObject.IsNull && irp.OriginalFileObject.IsSynchronous);
        });
    }

    private static int SizeOfIrp(sbyte stackCount) => Irp.Size + (stackCount * IoStackLocation.Size);

    private static Irp AllocateIrp(Machine machine, byte stackCount)
    {
        var size = SizeOfIrp((sbyte)stackCount);
        var irp = new Irp(machine.Memory, Ex.Allocate(machine, Ex.NonPaged, (ulong)size, "Irp "));
        InitializeIrp(irp, (ushort)size, (sbyte)stackCount);
        return irp;
    }

    private static void InitializeIrp(Irp irp, ushort size, sbyte stackCount)
    {
        irp.Memory.Fill(irp.Address, size, 0);
        irp.Type = 6;
        irp.PacketSize = size;
        irp.StackCount = stackCount;
        irp.CurrentLocation = (sbyte)(stackCount + 1);
        irp.ThreadListEntry.Initialize();
        irp.Current = irp.Location(stackCount + 1);
    }

    private static void FreeIrp(Machine machine, Irp irp)
    {
        // The type goes, so that whoever still has the pointer is told by IoCompleteRequest.
        irp.Type = 0;
        if ((irp.AllocationFlags & Irp.AllHolds) == 0) Ex.Free(machine, irp.Address);
    }

    /// <summary>
    /// Another thread is about to cancel an IRP that it found on a list: until it lets go, the IRP may be completed but not freed. What Windows
    /// does here is not documented; that it must do something of the kind follows from CancelIoEx being safe to call at any time.
    /// </summary>
    private static void Hold(Irp irp)
    {
        if ((irp.AllocationFlags & Irp.AllHolds) == Irp.AllHolds) throw new InvalidOperationException("more calls hold an IRP than can be counted");
        irp.AllocationFlags += Irp.OneHold;
    }

    private static void LetGo(Machine machine, Irp irp)
    {
        irp.AllocationFlags -= Irp.OneHold;
        if (irp.Type == 0) FreeIrp(machine, irp);
    }

    private static Next MakeAssociated(Processor p)
    {
        var master = IrpAt(p, p.Arg(0));
        var irp = AllocateIrp(p.Machine, p.Arg8(1));
        irp.Flags |= Irp.FlagAssociatedIrp;
        irp.SystemBuffer = master.Address;
        irp.Thread = master.Thread;
        return p.Return(irp.Address);
    }

    // IoBuildDeviceIoControlRequest(IoControlCode, DeviceObject, InputBuffer, InputBufferLength, OutputBuffer, OutputBufferLength, InternalDeviceIoControl, Event, IoStatusBlock)
    private static Next BuildControlRequest(Processor p)
    {
        var device = DeviceAt(p, p.Arg(1));
        var irp = AllocateIrp(p.Machine, device.StackSize);
        var code = p.Arg32(0);
        var (input, inputLength, output, outputLength) = (p.Arg(2), p.Arg32(3), p.Arg(4), p.Arg32(5));
        var location = irp.Location(irp.StackCount);
        location.MajorFunction = p.Arg8(6) != 0 ? IrpMajor.InternalDeviceControl : IrpMajor.DeviceControl;
        location.OutputBufferLength = outputLength;
        location.InputBufferLength = inputLength;
        location.IoControlCode = code;
        switch (code & 3)
        {
            case MethodBuffered:
                if (inputLength != 0 || outputLength != 0) BufferInput(p, irp, input, inputLength, Math.Max(inputLength, outputLength));
                irp.UserBuffer = output;
                if (output != 0) irp.Flags |= Irp.FlagInputOperation;
                break;
            case MethodNeither:
                irp.UserBuffer = output;
                location.Argument4 = input;
                break;
            default:
                if (inputLength != 0) BufferInput(p, irp, input, inputLength, inputLength);
                if (outputLength != 0) irp.MdlAddress = Mm.CreateLockedMdl(p, output, outputLength);
                break;
        }
        return FinishSynchronousRequest(p, irp, p.Arg(7), p.Arg(8));
    }

    /// <summary>A threaded IRP of a driver: it is on its thread's list, and completes by that thread's APC.</summary>
    private static Next FinishSynchronousRequest(Processor p, Irp irp, ulong eventAddress, ulong iosb)
    {
        irp.Flags |= Irp.FlagSynchronousApi;
        irp.UserEvent = eventAddress;
        irp.UserIosb = iosb;
        irp.RequestorMode = ProcessorMode.KernelMode;
        irp.Thread = p.CurrentThread;
        p.CurrentThread.IrpList.InsertHead(irp.ThreadListEntry);
        return p.Return(irp.Address);
    }

    // IoBuildSynchronousFsdRequest(MajorFunction, DeviceObject, Buffer, Length, StartingOffset, Event, IoStatusBlock); the asynchronous one has no Event.
    private static Next BuildTransferRequest(Processor p, bool synchronous)
    {
        var device = DeviceAt(p, p.Arg(1));
        var irp = AllocateIrp(p.Machine, device.StackSize);
        var major = (IrpMajor)p.Arg8(0);
        var (buffer, length) = (p.Arg(2), p.Arg32(3));
        var location = irp.Location(irp.StackCount);
        location.MajorFunction = major;
        if (major is IrpMajor.Read or IrpMajor.Write)
        {
            location.OutputBufferLength = length;
            location.Argument3 = p.Arg(4) != 0 ? p.Memory.ReadU64(p.Arg(4)) : 0;
            if ((device.Flags & DeviceObject.FlagBufferedIo) != 0)
            {
                if (length != 0) BufferInput(p, irp, buffer, major == IrpMajor.Write ? length : 0, length);
                irp.UserBuffer = buffer;
                if (major == IrpMajor.Read) irp.Flags |= Irp.FlagInputOperation;
            }
            else if ((device.Flags & DeviceObject.FlagDirectIo) != 0)
            {
                if (length != 0) irp.MdlAddress = Mm.CreateLockedMdl(p, buffer, length);
            }
            else
            {
                irp.UserBuffer = buffer;
            }
        }
        if (synchronous) return FinishSynchronousRequest(p, irp, p.Arg(5), p.Arg(6));
        irp.UserIosb = p.Arg(5);
        return p.Return(irp.Address);
    }
}
