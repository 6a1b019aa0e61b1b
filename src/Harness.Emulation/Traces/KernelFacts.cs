using Harness.Core.Nt;

namespace Harness.Emulation.Traces;

/// <summary>Where an event is logged.</summary>
/// <param name="Processor">The processor that logs it.</param>
/// <param name="Thread">The ID of the thread it runs.</param>
/// <param name="Process">Of its process.</param>
/// <param name="Now">The machine's clock, in 100 ns units.</param>
internal readonly record struct EventOrigin(int Processor, uint Thread, uint Process, ulong Now);

/// <summary>What the events of a process tell.</summary>
/// <param name="Key">Its EPROCESS.</param>
/// <param name="Id">UniqueProcessId.</param>
/// <param name="Parent">InheritedFromUniqueProcessId.</param>
/// <param name="Session">0xFFFFFFFF: none.</param>
/// <param name="ExitStatus">NTSTATUS.</param>
/// <param name="DirectoryTableBase">Of its page tables.</param>
/// <param name="Image">ImageFileName.</param>
/// <param name="ExitTime">FILETIME; 0 as long as it lives.</param>
internal readonly record struct ProcessFacts(ulong Key, uint Id, uint Parent, uint Session, uint ExitStatus, ulong DirectoryTableBase, string Image, ulong ExitTime);

/// <summary>What the events of a thread tell.</summary>
/// <param name="Process">Its process's ID.</param>
/// <param name="Id">UniqueThread.</param>
/// <param name="StackBase">Of its kernel stack: the first address above it.</param>
/// <param name="StackLimit">The lowest address of its kernel stack.</param>
/// <param name="Affinity">A bit for each processor it may run on.</param>
/// <param name="StartAddress">Where it begins.</param>
/// <param name="Teb">0: none.</param>
/// <param name="Priority">Its base priority.</param>
internal readonly record struct ThreadFacts(uint Process, uint Id, ulong StackBase, ulong StackLimit, ulong Affinity, ulong StartAddress, ulong Teb, byte Priority);

/// <summary>What the events of an image tell.</summary>
/// <param name="Base">Where it is mapped.</param>
/// <param name="Size">SizeOfImage.</param>
/// <param name="Process">0: the kernel's.</param>
/// <param name="CheckSum">The PE header's.</param>
/// <param name="TimeDateStamp">The PE header's.</param>
/// <param name="DefaultBase">Where its linker thought it would be.</param>
/// <param name="Path">The file.</param>
/// <param name="Pdb">Its PDB, null when the image names none.</param>
internal sealed record ImageFacts(ulong Base, ulong Size, uint Process, uint CheckSum, uint TimeDateStamp, ulong DefaultBase, string Path, PdbIdentity? Pdb);

/// <summary>A switch of threads on a processor.</summary>
internal readonly record struct SwitchFacts(uint NewThread, uint OldThread, byte NewPriority, byte OldPriority, byte OldWaitReason, byte OldState, uint NewWaitTicks);

/// <summary>What the header of the file tells of machine and session.</summary>
/// <param name="Build">Of the system.</param>
/// <param name="Processors">How many.</param>
/// <param name="MegaHertz">Of a processor.</param>
/// <param name="TimerResolution">A clock tick in 100 ns units.</param>
/// <param name="BootTime">FILETIME.</param>
/// <param name="Started">The machine's clock when the session began, in 100 ns units.</param>
/// <param name="Stopped">When it ended.</param>
internal readonly record struct SessionFacts(uint Build, uint Processors, uint MegaHertz, uint TimerResolution, ulong BootTime, ulong Started, ulong Stopped);
