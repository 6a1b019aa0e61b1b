using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>What a function's handler wants to be called for (UNW_FLAG_EHANDLER, UNW_FLAG_UHANDLER).</summary>
[Flags]
public enum HandlerKinds
{
    /// <summary>It has none.</summary>
    None = 0,

    /// <summary>While a handler is searched for.</summary>
    Exception = 1,

    /// <summary>While its frame is unwound.</summary>
    Termination = 2,
}

/// <summary>The language handler of a function ("x64 exception handling", Microsoft Learn).</summary>
/// <param name="Kinds">What it is called for.</param>
/// <param name="Routine">Its address.</param>
/// <param name="Data">Its data, in a format of its own: for __C_specific_handler a SCOPE_TABLE.</param>
public sealed record FrameHandler(HandlerKinds Kinds, KernelAddress Routine, KernelAddress Data);

/// <summary>A frame that was unwound.</summary>
/// <param name="ImageBase">The module's base; null outside of any module.</param>
/// <param name="FunctionEntry">The address of its RUNTIME_FUNCTION; null for a leaf.</param>
/// <param name="Establisher">The frame's address as handlers know it: RSP after the prologue, or what the frame register was made from.</param>
/// <param name="Handler">Null when the function has none, and in its prologue and epilogues.</param>
public sealed record UnwoundFrame(KernelAddress ImageBase, KernelAddress? FunctionEntry, KernelAddress Establisher, FrameHandler? Handler);

/// <summary>A frame whose unwind codes were applied.</summary>
internal readonly record struct EstablisherFrame(KernelAddress Frame, FrameHandler? Handler);
