namespace Harness.HyperV;

/// <summary>Which machine, and what it is given.</summary>
/// <param name="Vm">The name of a virtual machine of this host, reached by PowerShell Direct; null: none.</param>
/// <param name="Computer">The name of another machine, reached by WinRM; null: none. It is restarted where a virtual machine goes back to its checkpoint.</param>
/// <param name="Isolate">Back to the checkpoint before every story; else before the first, and after one that left the guest unfit.</param>
/// <param name="Scripts">The folder vm-scripts.</param>
/// <param name="Harness">The harness for the guest: a folder with driverfault.exe that needs no .NET installed.</param>
public sealed record GuestOptions(string? Vm, string? Computer, bool Isolate, string Scripts, string Harness)
{
    /// <summary>Names the virtual machine when the user doesn't.</summary>
    public const string VmVariable = "DRIVERFAULT_VM";

    /// <summary>Names the other machine when the user doesn't.</summary>
    public const string ComputerVariable = "DRIVERFAULT_COMPUTER";

    /// <summary>"1": back to the checkpoint before every story.</summary>
    public const string IsolateVariable = "DRIVERFAULT_ISOLATE";

    /// <summary>As the environment has it.</summary>
    /// <param name="root">The repository's folder.</param>
    /// <param name="variable">The value of an environment variable.</param>
    public static GuestOptions Of(string root, Func<string, string?> variable) => new(
        variable(VmVariable) is { Length: > 0 } vm ? vm : null,
        variable(ComputerVariable) is { Length: > 0 } computer ? computer : null,
        variable(IsolateVariable) == "1", Path.Combine(root, "vm-scripts"), Path.Combine(root, "artifacts", "guest"));

    /// <summary>What the user says goes before what the environment does: naming a machine of one kind takes back one of the other.</summary>
    public GuestOptions With(string? vm, string? computer, bool isolate) =>
        this with { Vm = vm ?? (computer is null ? Vm : null), Computer = computer ?? (vm is null ? Computer : null), Isolate = isolate || Isolate };

    /// <summary>What is missing, in one sentence; null when nothing.</summary>
    public string? Lacks => (Vm, Computer) switch
    {
        (null, null) => $"no machine is named: --vm NAME or {VmVariable}, or --computer NAME or {ComputerVariable} (docs/hyperv.md)",
        (not null, not null) => "a virtual machine and a computer are named, and a run has one",
        _ when !File.Exists(Path.Combine(Scripts, Script)) => $"there is no {Path.Combine(Scripts, Script)}",
        _ when !File.Exists(Path.Combine(Harness, "driverfault.exe")) => $"there is no driverfault.exe for the guest in {Harness}; docs/hyperv.md has the command that makes it",
        _ => null,
    };

    /// <summary>The script of all steps.</summary>
    internal const string Script = "Invoke-GuestScenario.ps1";

    /// <summary>Windows PowerShell's arguments before -Step.</summary>
    internal IReadOnlyList<string> ScriptArguments =>
        ["-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", Path.Combine(Scripts, Script), .. Vm is not null ? ["-VMName", Vm] : new[] { "-ComputerName", Computer! }];
}
