using System.Buffers.Binary;
using Harness.Core.Nt;

namespace Harness.Core.Diagnosis;

/// <summary>A handle that keeps an object.</summary>
/// <param name="Pid">The process that has it.</param>
/// <param name="Image">Its EPROCESS.ImageFileName.</param>
/// <param name="Handle">The handle's value in that process.</param>
/// <param name="Target">The object.</param>
public sealed record HandleHolder(int Pid, string Image, ulong Handle, KernelAddress Target);

/// <summary>Handle tables: of a process (EPROCESS.ObjectTable), and that of process and thread IDs (PspCidTable), which is built alike.</summary>
internal sealed class HandleTables(KernelMemoryReader memory)
{
    private const int PageSize = 0x1000;

    /// <summary>
    /// Of all tables together: what Windows gives one process at most, 16 million handles ("Pushing the Limits of Windows: Handles", Mark
    /// Russinovich), in pages of entries. Damaged tables may lead to one page over and over.
    /// </summary>
    private const int MostPages = (1 << 24) / (PageSize / HandleTableLayout.EntrySize);

    private int _pagesLeft = MostPages;

    /// <summary>The pointers in a table, with their handles.</summary>
    /// <param name="table">HANDLE_TABLE.</param>
    /// <param name="what">Its name in a note.</param>
    public IEnumerable<(ulong Handle, KernelAddress Pointer)> Entries(KernelAddress table, string what)
    {
        if (memory.UInt64(table + HandleTableLayout.TableCode) is not { } code)
        {
            memory.Note($"{what} is not in memory");
            yield break;
        }

        var levels = (int)(code & 3);
        var top = new KernelAddress(code & ~3UL);
        if (levels > 2 || !top.IsKernel)
        {
            memory.Note($"{what} is damaged: its TableCode is {HexText.Of(code)}");
            yield break;
        }

        var page = new byte[PageSize];
        var number = 0UL;
        foreach (var leaf in Leaves(top, levels, what))
        {
            if (--_pagesLeft < 0)
            {
                memory.Note("there are more handles than Windows has: the rest was not looked at");
                yield break;
            }

            if (!memory.TryRead(leaf, page))
            {
                memory.Note($"{what}: its page {leaf} is not in memory");
                number += PageSize / HandleTableLayout.EntrySize;
                continue;
            }

            for (var at = 0; at < PageSize; at += HandleTableLayout.EntrySize, number++)
                if (at > 0 && HandleTableLayout.Pointer(BinaryPrimitives.ReadUInt64LittleEndian(page.AsSpan(at))) is { IsNull: false } pointer)
                    yield return (number * HandleTableLayout.HandleStep, pointer);
        }
    }

    /// <summary>The pages of entries, in the handles' order. Tables are filled from their beginning, so the first null ends one.</summary>
    private IEnumerable<KernelAddress> Leaves(KernelAddress top, int levels, string what)
    {
        if (levels == 0) return [top];
        var upper = Pointers(top, what);
        if (levels == 2) upper = upper.SelectMany(middle => Pointers(middle, what));
        return upper;
    }

    private IEnumerable<KernelAddress> Pointers(KernelAddress table, string what)
    {
        var bytes = new byte[PageSize];
        if (!memory.TryRead(table, bytes))
        {
            memory.Note($"{what}: its page {table} is not in memory");
            yield break;
        }

        for (var at = 0; at < PageSize; at += 8)
        {
            var pointer = new KernelAddress(BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at)));
            if (pointer.IsNull) yield break;
            yield return pointer;
        }
    }
}
