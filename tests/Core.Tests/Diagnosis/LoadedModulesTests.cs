using FluentAssertions;
using Harness.Core.Diagnosis;
using Harness.Core.Nt;
using Xunit;

namespace Core.Tests.Diagnosis;

public class LoadedModulesTests
{
    private static readonly KernelAddress Base = new(0xFFFFF803_50000000);

    private readonly FakeKernel _kernel = new();

    [Fact]
    public void The_first_module_is_the_kernel_whatever_its_file_is_called()
    {
        var modules = _kernel.View().Modules;
        modules.All.Select(module => (module.FileName, module.Name)).Should().Equal(("ntoskrnl.exe", "nt"), ("sample.sys", "sample"));
        modules.FileOf(FakeKernel.Routine("PspExitThread")).Should().Be("nt");
        modules.FileOf(FakeKernel.DriverBase + 5).Should().Be("sample.sys");
        modules.FileOf(FakeKernel.DriverBase + 0x8000).Should().BeNull();
        modules.FileOf(KernelAddress.Null).Should().BeNull();
    }

    [Fact]
    public void An_address_is_named_by_symbol_by_module_or_by_itself()
    {
        var modules = _kernel.View().Modules;
        modules.Name(FakeKernel.Routine("PspExitThread")).Should().Be("nt!PspExitThread");
        modules.Name(FakeKernel.Routine("PspExitThread") + 0x6D).Should().Be("nt!PspExitThread+0x6d");
        modules.Name(FakeKernel.DriverBase + 0x1234).Should().Be("sample+0x1234");
        modules.Name(new KernelAddress(0xFFFFA00A_00000123)).Should().Be("0xffffa00a00000123");
    }

    [Fact]
    public void A_routine_of_a_driver_is_its_file_and_offset()
    {
        var modules = _kernel.View().Modules;
        modules.FileOffset(FakeKernel.DriverBase + 0x1234).Should().Be("sample.sys+0x1234");
        modules.FileOffset(FakeKernel.Routine("IopCloseFile")).Should().Be("nt!IopCloseFile");
        modules.FileOffset(new KernelAddress(0xFFFFA00A_00000123)).Should().Be("0xffffa00a00000123");
    }

    [Fact]
    public void An_export_does_not_name_another_function_above_it()
    {
        var image = new FakeImage();
        var info = image.UnwindInfo([]);
        image.Function(0x1000, 0x1100, info).Function(0x1100, 0x1200, info).Export("Known", 0x1000).Export("Inside", 0x1080).Export("Data", 0x3000);
        // A piece that was moved behind another function, chained to Known.
        image.Function(0x1800, 0x1810, image.UnwindInfo([], flags: 4, after: [0x1000, 0x1100, info]));
        _kernel.AddModule("library.sys", Base, image.Build());
        var modules = _kernel.View().Modules;

        modules.Name(Base + 0x1044).Should().Be("library!Known+0x44");
        modules.Name(Base + 0x1084).Should().Be("library!Inside+0x4");
        modules.Name(Base + 0x1150).Should().Be("library+0x1150", "that function has no name");
        modules.Name(Base + 0x1300).Should().Be("library+0x1300", "a leaf behind it has none either");
        modules.Name(Base + 0x1808).Should().Be("library!Known+0x808");
        modules.Name(Base + 0x3010).Should().Be("library!Data+0x10");
    }

    [Fact]
    public void Without_a_function_table_the_nearest_export_must_do()
    {
        _kernel.AddModule("flat.sys", Base, new FakeImage().Export("First", 0x1000).Export("Other", 0x1000).Export("Second", 0x2000).Build());
        var modules = _kernel.View().Modules;
        modules.Name(Base + 0x1FFF).Should().Be("flat!First+0xfff");
        modules.Name(Base + 0x2000).Should().Be("flat!Second");
        modules.Name(Base + 0xFFF).Should().Be("flat+0xfff");
    }

    [Fact]
    public void Headers_that_are_absent_or_absurd_cost_names_and_nothing_else()
    {
        var image = new FakeImage().Export("Something", 0x1000).Build();
        foreach (var offset in new[] { 0x0, 0x3C, 0x80, 0x84, 0x98 })
        {
            var broken = (byte[])image.Clone();
            broken.AsSpan(offset, 4).Fill(0xFF);
            var kernel = new FakeKernel();
            kernel.AddModule("broken.sys", Base, broken);
            var view = kernel.View();
            view.Modules.Name(Base + 0x1000).Should().Be("broken+0x1000");
            view.Notes.Should().ContainSingle().Which.Should().Contain("broken.sys");
        }
    }

    [Theory]
    [InlineData(0x14u)]
    [InlineData(0x18u)]
    [InlineData(0x1Cu)]
    [InlineData(0x20u)]
    [InlineData(0x24u)]
    public void An_export_table_that_lies_about_its_size_is_cut(uint field)
    {
        var image = new FakeImage().Export("Something", 0x1000).Build();
        image.AsSpan((int)(0x6000 + field), 4).Fill(0xFF);
        _kernel.AddModule("liar.sys", Base, image);
        var view = _kernel.View();
        view.Modules.Name(Base + 0x1008).Should().StartWith("liar");
    }

    [Fact]
    public void A_module_entry_that_is_damaged_is_left_out_and_another_does_not_become_the_kernel()
    {
        var kernel = new FakeKernel();
        var first = new KernelAddress(kernel.Memory.UInt64(kernel.Memory.LoadedModuleList));
        kernel.Memory.UInt32(first + kernel.Layout.LoadedModule.SizeOfImage, 0xFFFF_FFFF);
        var view = kernel.View();
        view.Modules.FileOf(FakeKernel.DriverBase).Should().Be("sample.sys");
        view.Modules.Name(FakeKernel.DriverBase + 0x10).Should().Be("sample+0x10");
        view.Modules.Containing(FakeKernel.KernelBase).Should().BeNull();
        view.Notes.Should().ContainSingle().Which.Should().Contain("module entry");
    }

    [Fact]
    public void A_module_without_a_name_is_known_by_its_address()
    {
        var entry = _kernel.AddModule("nameless.sys", Base, new FakeImage().Build());
        _kernel.Memory.UInt16(entry + _kernel.Layout.LoadedModule.BaseDllName, 3);
        _kernel.View().Modules.FileOf(Base).Should().Be("module@" + Base);
    }
}
