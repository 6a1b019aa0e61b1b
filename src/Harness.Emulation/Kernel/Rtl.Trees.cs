using Harness.Core.Nt;
using Harness.Emulation.Kernel.Structures;

namespace Harness.Emulation.Kernel;

/// <summary>
/// Generic tables of both kinds: what they call and return is Windows'; their trees are ordered and not balanced, so the callbacks see other pairs.
/// RTL_GENERIC_TABLE: root +0, insert order +8, ordered pointer +0x18, its number +0x20, count +0x24, Compare +0x28, Allocate +0x30, Free +0x38, context +0x40.
/// RTL_AVL_TABLE: BalancedRoot +0 (its right child is the root), count +0x2C, depth +0x30, restart key +0x38, Compare +0x48, Allocate +0x50, Free +0x58,
/// context +0x60. Links of a node: Parent +0, Left +8, Right +0x10; its data at +0x28 (with the insert order's links at +0x18) and at +0x20 (ntddk.h).
/// </summary>
internal static partial class Rtl
{
    private const uint Less = 0, Greater = 1, Equal = 2;

    private static void DefineTrees(NtRoutines nt)
    {
        foreach (var avl in (bool[])[false, true])
        {
            var suffix = avl ? "Avl" : "";
            var tree = new Shape(avl);
            nt.Add("RtlInitializeGenericTable" + suffix, tree.Initialize);
            // (Table, Buffer, BufferSize, NewElement*). Locals: 0 the node reached, 1 where a new one hangs.
            nt.Add("RtlInsertElementGenericTable" + suffix, 2, tree.Begin, tree.Look, tree.Compared, tree.ReturnExisting, tree.AllocateNode, tree.LinkNode);
            // (Table, Buffer)
            nt.Add("RtlLookupElementGenericTable" + suffix, 2, tree.Begin, tree.Look, tree.Compared, tree.ReturnFound, p => p.Return());
            nt.Add("RtlDeleteElementGenericTable" + suffix, 2, tree.Begin, tree.Look, tree.Compared, tree.DeleteNode, p => p.Return(false), p => p.Return(true));
            nt.Add("RtlEnumerateGenericTable" + suffix, tree.EnumerateFromOwnKey);
            nt.Add("RtlEnumerateGenericTableWithoutSplaying" + suffix, tree.EnumerateFromKey);
            nt.Add("RtlGetElementGenericTable" + suffix, tree.GetElement);
            nt.Add("RtlNumberGenericTableElements" + suffix, tree.Number);
            nt.Add("RtlIsGenericTableEmpty" + suffix, tree.IsEmpty);
        }
    }

    /// <summary>Where one kind of table keeps things, and what it does with them.</summary>
    private readonly struct Shape(bool avl)
    {
        public ulong Compare => avl ? 0x48u : 0x28u;

        public ulong Count => avl ? 0x2Cu : 0x24u;

        public ulong Data => avl ? 0x20u : 0x28u;

        private ulong RootField(Processor p) => p.Arg(0) + (avl ? 0x10u : 0u);

        // (Table, Compare, Allocate, Free, Context)
        public Next Initialize(Processor p)
        {
            p.Memory.Fill(p.Arg(0), avl ? 0x68u : 0x48u, 0);
            if (avl) p.Memory.WriteU64(p.Arg(0), p.Arg(0));
            else new ListHead(p.Memory, p.Arg(0) + 8).Initialize();
            for (var i = 0; i < 4; i++) p.Memory.WriteU64(p.Arg(0) + Compare + ((ulong)i * 8), p.Arg(i + 1));
            return p.Return();
        }

        public Next Number(Processor p) => p.Return(p.Memory.ReadU32(p.Arg(0) + Count));

        public Next IsEmpty(Processor p) => p.Return(p.Memory.ReadU32(p.Arg(0) + Count) == 0);

        // Steps of every search: 0 begin, 1 look, 2 compared, 3 found, 4 not there.
        public Next Begin(Processor p)
        {
            p[0] = 0;
            p[1] = RootField(p);
            return p.Goto(1);
        }

        /// <summary>Compares the buffer with the node that hangs at local 1, when there is one.</summary>
        public Next Look(Processor p)
        {
            var node = p.Memory.ReadU64(p[1]);
            if (node == 0) return p.Goto(4);
            p[0] = node;
            return p.Call(p.Memory.ReadU64(p.Arg(0) + Compare), 2, p.Arg(0), p.Arg(1), node + Data);
        }

        public Next Compared(Processor p)
        {
            switch ((uint)p.Result)
            {
                case Less:
                    p[1] = p[0] + 8;
                    return p.Goto(1);
                case Greater:
                    p[1] = p[0] + 0x10;
                    return p.Goto(1);
                case Equal:
                    return p.Goto(3);
                default:
                    throw new UnmodelledException("nt!" + p.RoutineName, $"a compare routine that returns {(uint)p.Result}");
            }
        }

        public Next ReturnFound(Processor p) => p.Return(p[0] + Data);

        public Next ReturnExisting(Processor p)
        {
            if (p.Arg(3) != 0) p.Memory.WriteU8(p.Arg(3), 0);
            return p.Return(p[0] + Data);
        }

        public Next AllocateNode(Processor p) => p.Call(p.Memory.ReadU64(p.Arg(0) + Compare + 8), 5, p.Arg(0), p.Arg32(2) + Data);

        public Next LinkNode(Processor p)
        {
            var (m, node) = (p.Memory, p.Result);
            if (node == 0)
            {
                if (p.Arg(3) != 0) m.WriteU8(p.Arg(3), 0);
                return p.Return();
            }
            DriverMemory.Require(p, node, p.Arg32(2) + Data, write: true);
            m.Fill(node, Data, 0);
            m.WriteU64(node, p[0] != 0 ? p[0] : avl ? p.Arg(0) : node);
            m.WriteU64(p[1], node);
            if (!avl) new ListHead(m, p.Arg(0) + 8).InsertTail(new ListHead(m, node + 0x18));
            m.WriteU32(p.Arg(0) + Count, m.ReadU32(p.Arg(0) + Count) + 1);
            DriverMemory.Write(p, node + Data, DriverMemory.Read(p, p.Arg(1), p.Arg32(2)));
            if (p.Arg(3) != 0) m.WriteU8(p.Arg(3), 1);
            return p.Return(node + Data);
        }

        public Next DeleteNode(Processor p)
        {
            var (m, node) = (p.Memory, p[0]);
            var (left, right) = (m.ReadU64(node + 8), m.ReadU64(node + 0x10));
            if (left != 0 && right != 0)
            {
                // Its successor takes its place.
                var successor = right;
                while (m.ReadU64(successor + 8) != 0) successor = m.ReadU64(successor + 8);
                if (successor != right)
                {
                    Replace(p, successor, m.ReadU64(successor + 0x10));
                    m.WriteU64(successor + 0x10, right);
                    m.WriteU64(right, successor);
                }
                Replace(p, node, successor);
                m.WriteU64(successor + 8, left);
                m.WriteU64(left, successor);
            }
            else
            {
                Replace(p, node, left != 0 ? left : right);
            }
            if (!avl) new ListHead(m, node + 0x18).Remove();
            m.WriteU32(p.Arg(0) + Count, m.ReadU32(p.Arg(0) + Count) - 1);
            // An enumeration begins again, for its place is gone.
            m.WriteU64(p.Arg(0) + (avl ? 0x38u : 0x18u), 0);
            return p.Call(m.ReadU64(p.Arg(0) + Compare + 0x10), 5, p.Arg(0), node);
        }

        private void Replace(Processor p, ulong node, ulong by)
        {
            var m = p.Memory;
            var root = m.ReadU64(RootField(p)) == node;
            var parent = root ? 0 : m.ReadU64(node);
            m.WriteU64(root ? RootField(p) : m.ReadU64(parent + 8) == node ? parent + 8 : parent + 0x10, by);
            if (by != 0) m.WriteU64(by, !root ? parent : avl ? p.Arg(0) : by);
        }

        // (Table, Restart)
        public Next EnumerateFromOwnKey(Processor p)
        {
            var key = p.Arg(0) + (avl ? 0x38u : 0x18u);
            return Enumerate(p, p.Arg8(1) != 0 ? 0 : p.Memory.ReadU64(key), key);
        }

        // (Table, RestartKey*)
        public Next EnumerateFromKey(Processor p) => Enumerate(p, p.Memory.ReadU64(p.Arg(1)), p.Arg(1));

        private Next Enumerate(Processor p, ulong after, ulong key)
        {
            var next = after == 0 ? First(p) : Following(p, after);
            p.Memory.WriteU64(key, next);
            return p.Return(next == 0 ? 0 : next + Data);
        }

        private ulong First(Processor p)
        {
            var node = p.Memory.ReadU64(RootField(p));
            while (node != 0 && p.Memory.ReadU64(node + 8) != 0) node = p.Memory.ReadU64(node + 8);
            return node;
        }

        private ulong Following(Processor p, ulong node)
        {
            var m = p.Memory;
            if (m.ReadU64(node + 0x10) != 0)
            {
                node = m.ReadU64(node + 0x10);
                while (m.ReadU64(node + 8) != 0) node = m.ReadU64(node + 8);
                return node;
            }
            var root = m.ReadU64(RootField(p));
            while (node != root)
            {
                var parent = m.ReadU64(node);
                if (m.ReadU64(parent + 8) == node) return parent;
                node = parent;
            }
            return 0;
        }

        public Next GetElement(Processor p)
        {
            var m = p.Memory;
            if (p.Arg32(1) >= m.ReadU32(p.Arg(0) + Count)) return p.Return();
            if (!avl)
            {
                // By the order of insertion.
                var entry = m.ReadU64(p.Arg(0) + 8);
                for (var i = 0u; i < p.Arg32(1); i++) entry = m.ReadU64(entry);
                return p.Return(entry - 0x18 + Data);
            }
            var node = First(p);
            for (var i = 0u; i < p.Arg32(1); i++) node = Following(p, node);
            return p.Return(node + Data);
        }
    }
}
