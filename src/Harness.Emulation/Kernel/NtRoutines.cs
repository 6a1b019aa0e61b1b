namespace Harness.Emulation.Kernel;

/// <summary>Every routine of nt that is modelled, file by file: one per NT prefix.</summary>
internal sealed class NtRoutines
{
    private readonly List<Routine> _all = [];

    private NtRoutines()
    {
    }

    /// <summary>Where a system service comes back to before it goes to user mode: nt!KiSystemServiceCopyEnd.</summary>
    public static Routine SystemServiceExit => NtImage.Instance.RoutineOf("KiSystemServiceCopyEnd");

    public static IReadOnlyList<Routine> All()
    {
        var routines = new NtRoutines();
        routines.Trap("KiSystemServiceCopyEnd", Ke.NeverEntered, Ke.SystemServiceExit, Ke.ExitToUser);
        Ke.Define(routines);
        Ps.Define(routines);
        Ob.Define(routines);
        Io.Define(routines);
        Ex.Define(routines);
        Mm.Define(routines);
        Rtl.Define(routines);
        Zw.Define(routines);
        Etw.Define(routines);
        return routines._all;
    }

    /// <summary>A routine without locals.</summary>
    public Routine Add(string name, params Step[] steps) => Add(name, 0, steps);

    /// <summary>A routine with this many quadwords of locals in its frame.</summary>
    public Routine Add(string name, int locals, params Step[] steps) => Keep(new Routine(name, FrameKind.Ordinary, locals, steps));

    /// <summary>A routine that stands on a trap frame.</summary>
    public Routine Trap(string name, params Step[] steps) => Keep(new Routine(name, FrameKind.Trap, 0, steps));

    /// <summary>The switch of threads.</summary>
    public Routine Switch(string name, params Step[] steps) => Keep(new Routine(name, FrameKind.Switch, 0, steps));

    /// <summary>What compilers call in a prologue, with an argument in RAX and every other register to be kept.</summary>
    public Routine Leaf(string name, Step step) => Keep(new Routine(name, FrameKind.Leaf, 0, [step]));

    /// <summary>A routine defined before: to give it an exception handler.</summary>
    public Routine Defined(string name) => _all.Find(routine => routine.Name == name) ?? throw new InvalidOperationException($"nt!{name} is not defined yet");

    private Routine Keep(Routine routine)
    {
        _all.Add(routine);
        return routine;
    }
}
