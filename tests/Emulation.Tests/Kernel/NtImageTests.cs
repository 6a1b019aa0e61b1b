using System.Buffers.Binary;
using System.Reflection.PortableExecutable;
using System.Text;
using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Evidence;
using Harness.Core.Nt;
using Harness.Emulation.Kernel;
using Harness.Emulation.Memory;
using Xunit;
using Machine = Harness.Emulation.Kernel.Machine;

namespace Emulation.Tests.Kernel;

/// <summary>The synthesized nt, read by others: System.Reflection.PortableExecutable, and the unwinder that also reads Windows' dumps.</summary>
public sealed class NtImageTests
{
    private const uint StackBytes = 0x2000;

    private static readonly Machine Machine = new(0, 1, new EvidenceLog());

    private static readonly byte[] Image = Read(NtImage.Base, NtImage.SizeOfImage);

    [Fact]
    public void Its_headers_are_a_PE_image_s()
    {
        using var pe = new PEReader(new MemoryStream(Image), PEStreamOptions.IsLoadedImage);
        var header = pe.PEHeaders.PEHeader!;

        pe.PEHeaders.CoffHeader.Machine.Should().Be(System.Reflection.PortableExecutable.Machine.Amd64);
        header.Magic.Should().Be(PEMagic.PE32Plus);
        header.ImageBase.Should().Be(NtImage.Base);
        header.SizeOfImage.Should().Be((int)NtImage.SizeOfImage);
        var end = header.SizeOfHeaders;
        foreach (var section in pe.PEHeaders.SectionHeaders)
        {
            section.VirtualAddress.Should().BeGreaterThanOrEqualTo(end);
            end = section.VirtualAddress + section.VirtualSize;
        }
        end.Should().BeLessThanOrEqualTo((int)NtImage.SizeOfImage);
        foreach (var directory in (DirectoryEntry[])[header.ExportTableDirectory, header.ExceptionTableDirectory])
            pe.PEHeaders.SectionHeaders.Should().Contain(s => s.VirtualAddress <= directory.RelativeVirtualAddress && directory.RelativeVirtualAddress + directory.Size <= s.VirtualAddress + s.VirtualSize);
    }

    [Fact]
    public void Its_exports_are_sorted_and_name_every_routine_and_variable()
    {
        using var pe = new PEReader(new MemoryStream(Image), PEStreamOptions.IsLoadedImage);
        var at = pe.PEHeaders.PEHeader!.ExportTableDirectory.RelativeVirtualAddress;
        var count = (int)U32(at + 24);
        var names = new List<string>();
        for (var i = 0; i < count; i++)
        {
            var name = Text((int)U32((int)U32(at + 32) + (4 * i)));
            var ordinal = BinaryPrimitives.ReadUInt16LittleEndian(Image.AsSpan((int)U32(at + 36) + (2 * i)));
            (NtImage.Base + U32((int)U32(at + 28) + (4 * ordinal))).Should().Be(NtImage.Instance[name], name);
            names.Add(name);
        }

        names.Should().Equal(NtImage.Instance.Names.Order(StringComparer.Ordinal)).And.OnlyHaveUniqueItems();
        Text((int)U32(at + 12)).Should().Be("ntoskrnl.exe");
    }

    [Fact]
    public void Its_function_table_is_sorted_and_covers_every_slot_of_every_routine()
    {
        var functions = Functions();

        functions.Should().HaveCount(NtImage.Instance.Routines.Count());
        foreach (var (function, routine) in functions.Zip(NtImage.Instance.Routines))
        {
            (NtImage.Base + function.Begin).Should().Be(routine.Address, routine.Name);
            (NtImage.Base + function.End).Should().BeGreaterThan(routine.AddressOf(routine.Steps.Length), routine.Name);
        }
        for (var i = 1; i < functions.Count; i++) functions[i].Begin.Should().BeGreaterThanOrEqualTo(functions[i - 1].End);
    }

    [Fact]
    public void From_every_slot_of_every_routine_the_unwinder_finds_the_caller()
    {
        const ulong stack = 0xFFFFF580_70000000;
        var memory = Machine.Memory;
        memory.Map(stack, StackBytes, PageAccess.Read | PageAccess.Write);
        var view = new KernelView(Machine.KernelMemory);
        var caller = NtImage.Instance.RoutineOf("KiIdleLoop").AddressOf(1);
        var count = 0;
        foreach (var routine in NtImage.Instance.Routines)
        {
            // The pad behind the last step is where a call in the last step would come back to.
            for (var step = 1; step <= routine.Steps.Length; step++)
            {
                memory.Fill(stack, StackBytes, 0);
                var rsp = stack + 0x100;
                var machineFrame = rsp + routine.Frame;
                if (routine.Kind == FrameKind.Trap)
                {
                    // Rip, Cs, EFlags, Rsp, Ss: the interrupted code was the idle loop.
                    memory.WriteU64(machineFrame, caller);
                    memory.WriteU64(machineFrame + 8, 0x10);
                    memory.WriteU64(machineFrame + 0x18, machineFrame + 0x40);
                    memory.WriteU64(machineFrame + 0x20, 0x18);
                }
                else
                {
                    memory.WriteU64(machineFrame, caller);
                }
                var registers = new UnwindRegisters(new(routine.AddressOf(step)), new(rsp)) { [5] = rsp + Routine.TrapFrameOffset + 0x80 };

                var frames = view.Stacks.From(registers, new(stack), new(stack + StackBytes));

                frames.Should().HaveCountGreaterThanOrEqualTo(2, $"step {step} of {routine.Name}");
                frames[0].Name.Should().StartWith("nt!" + routine.Name);
                frames[1].Address.Value.Should().Be(caller, $"step {step} of {routine.Name}");
                frames[1].StackPointer.Value.Should().Be(routine.Kind == FrameKind.Trap ? machineFrame + 0x40 : machineFrame + 8, $"step {step} of {routine.Name}");
                count++;
            }
        }
        count.Should().BeGreaterThan(500);
    }

    private static List<(uint Begin, uint End, uint Unwind)> Functions()
    {
        using var pe = new PEReader(new MemoryStream(Image), PEStreamOptions.IsLoadedImage);
        var directory = pe.PEHeaders.PEHeader!.ExceptionTableDirectory;
        (directory.Size % 12).Should().Be(0);
        return [.. Enumerable.Range(0, directory.Size / 12).Select(i => directory.RelativeVirtualAddress + (12 * i)).Select(at => (U32(at), U32(at + 4), U32(at + 8)))];
    }

    private static uint U32(int at) => BinaryPrimitives.ReadUInt32LittleEndian(Image.AsSpan(at));

    private static string Text(int at) => Encoding.ASCII.GetString(Image, at, Array.IndexOf(Image, (byte)0, at) - at);

    private static byte[] Read(ulong from, uint length)
    {
        var bytes = new byte[length];
        for (uint page = 0; page < length; page += 0x1000) Machine.Memory.TryRead(from + page, bytes.AsSpan((int)page, 0x1000));
        return bytes;
    }
}
