using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Harness.Core.Nt;

/// <summary>
/// The structures of one build out of nt-offsets.json. The file is read once a build, forwards, and everything else in it is skipped:
/// a run pays for one build, not for nine.
/// </summary>
internal sealed class LayoutTable
{
    /// <summary>Where every structure has been seen whole: the source for those that a later build's tables lack.</summary>
    private const string Reference = "19041";

    private readonly Dictionary<string, LayoutFields> _structures = [];
    private readonly List<string> _assumed = [];

    private LayoutTable(int build) => Build = build;

    public int Build { get; }

    public bool IsOfSymbols { get; private init; }

    public IReadOnlyList<string> Assumed => _assumed;

    public LayoutFields this[string structure] => _structures[structure];

    /// <summary>Null for an unknown build, and then <paramref name="known"/> says which there are.</summary>
    public static LayoutTable? Of(string build, out IReadOnlyList<string> known)
    {
        var json = Embedded();
        var names = new List<string>();
        known = names;
        var alias = Alias(json, build, names);
        if (alias is null && !names.Contains(build)) return null;

        var own = alias ?? build;
        var table = new LayoutTable(int.Parse(own, CultureInfo.InvariantCulture));
        table.Read(json, own);
        return table;
    }

    /// <summary>The structures as the kernel's own symbols have them; of the file what no symbols tell, or what these leave out.</summary>
    public static LayoutTable Of(int build, IImageSymbols symbols)
    {
        var table = new LayoutTable(build) { IsOfSymbols = true };
        foreach (var name in OfSymbols) table._structures[name] = new LayoutFields(name, symbols);
        table.Read(Embedded(), "");
        return table;
    }

    private static readonly string[] OfSymbols =
    [
        "_KPROCESS", "_EPROCESS", "_KTHREAD", "_ETHREAD", "_KAPC_STATE", "_KAPC", "_KWAIT_BLOCK", "_DISPATCHER_HEADER", "_IRP", "_IO_STACK_LOCATION", "_DEVICE_OBJECT",
        "_DRIVER_OBJECT", "_FILE_OBJECT", "_OBJECT_HEADER", "_KLDR_DATA_TABLE_ENTRY", "_KPRCB", "_KTRAP_FRAME",
    ];

    private void Read(byte[] json, string own)
    {
        var reference = new Dictionary<string, LayoutFields>();
        var stable = new Dictionary<string, List<string>>();
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (NextProperty(ref reader, out var property))
        {
            if (property is "builds") ReadBuilds(ref reader, own, _structures, reference);
            else if (property is "stable_14393_to_22631") ReadStable(ref reader, stable);
            else if (property is "irp_flat_19041" or "io_stack_location_flat_19041" or "kswitch_frame_x64") _structures[property] = ReadFields(ref reader, property);
            else reader.Skip();
        }

        // The members of these two structures' unions are asked for under names of their own.
        if (IsOfSymbols)
        {
            _structures["irp_flat_19041"].Prefer(_structures["_IRP"]);
            _structures["io_stack_location_flat_19041"].Prefer(_structures["_IO_STACK_LOCATION"]);
        }

        Assume(stable, reference);
    }

    /// <summary>A field that was the same from 14393 to 22631 and that this build's sources don't tell is taken to be there still.</summary>
    private void Assume(Dictionary<string, List<string>> stable, Dictionary<string, LayoutFields> reference)
    {
        foreach (var (name, fields) in stable)
        {
            if (!reference.TryGetValue(name, out var from) || (IsOfSymbols && !OfSymbols.Contains(name))) continue;
            if (!_structures.TryGetValue(name, out var own))
            {
                _structures[name] = own = new LayoutFields(name);
                _assumed.Add(name);
            }

            foreach (var field in fields)
                if (own.Borrow(field, from) && !_assumed.Contains(name)) _assumed.Add(name + "." + field);
        }
    }

    private static void ReadBuilds(ref Utf8JsonReader reader, string build, Dictionary<string, LayoutFields> own, Dictionary<string, LayoutFields> reference)
    {
        while (NextProperty(ref reader, out var name))
        {
            if (name == build) ReadStructures(ref reader, own);
            else if (name == Reference) ReadStructures(ref reader, reference);
            else reader.Skip();
        }

        if (build == Reference)
            foreach (var (name, fields) in own) reference[name] = fields;
    }

    private static void ReadStructures(ref Utf8JsonReader reader, Dictionary<string, LayoutFields> into)
    {
        while (NextProperty(ref reader, out var name))
            into[name] = ReadFields(ref reader, name);
    }

    private static LayoutFields ReadFields(ref Utf8JsonReader reader, string structure)
    {
        var fields = new LayoutFields(structure);
        while (NextProperty(ref reader, out var name))
        {
            if (reader.TokenType == JsonTokenType.Number) fields.Add(name, new BitField(reader.GetUInt32(), 0, 0));
            else if (reader.TokenType == JsonTokenType.StartArray) fields.Add(name, ReadBitField(ref reader));
            else reader.Skip();
        }

        return fields;
    }

    private static BitField ReadBitField(ref Utf8JsonReader reader)
    {
        Span<int> numbers = stackalloc int[3];
        foreach (ref var number in numbers)
        {
            reader.Read();
            number = reader.GetInt32();
        }

        reader.Read();
        return new BitField((uint)numbers[0], numbers[1], numbers[2]);
    }

    private static void ReadStable(ref Utf8JsonReader reader, Dictionary<string, List<string>> stable)
    {
        while (NextProperty(ref reader, out var name))
        {
            var fields = stable[name] = [];
            while (reader.Read() && reader.TokenType == JsonTokenType.String) fields.Add(reader.GetString()!);
        }
    }

    private static string? Alias(byte[] json, string build, List<string> names)
    {
        string? alias = null;
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (NextProperty(ref reader, out var property))
        {
            if (property is not ("aliases" or "builds")) reader.Skip();
            else
                while (NextProperty(ref reader, out var name))
                {
                    if (property is "builds") names.Add(name);
                    else if (name == build) alias = reader.GetString();
                    reader.Skip();
                }
        }

        // A build that has a table of its own needs no alias (22631 has both).
        return names.Contains(build) ? null : alias;
    }

    /// <summary>Leaves the reader on the property's value; false at the end of the object.</summary>
    private static bool NextProperty(ref Utf8JsonReader reader, out string name)
    {
        name = "";
        if (!reader.Read() || reader.TokenType != JsonTokenType.PropertyName) return false;
        name = reader.GetString()!;
        return reader.Read();
    }

    private static byte[] Embedded()
    {
        using var stream = typeof(LayoutTable).Assembly.GetManifestResourceStream("nt-offsets.json")!;
        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return bytes;
    }
}

/// <summary>The fields of one structure as the table has them. A layout's properties ask for the field of their own name.</summary>
public sealed class LayoutFields
{
    private readonly string _structure;
    private readonly Dictionary<string, Field> _fields = [];
    private IImageSymbols? _symbols;
    private string _inSymbols;

    internal LayoutFields(string structure, IImageSymbols? symbols = null) => (_structure, _inSymbols, _symbols) = (structure, structure, symbols);

    /// <summary>What the symbols of another one tell goes before what this one has.</summary>
    internal void Prefer(LayoutFields other) => (_inSymbols, _symbols) = (other._inSymbols, other._symbols);

    internal void Add(string name, BitField field) => _fields[name] = new Field(field);

    internal bool Borrow(string name, LayoutFields from) =>
        from._fields.TryGetValue(name, out var field) && OfSymbols(name) is null && _fields.TryAdd(name, field);

    internal uint Size() => Offset("size");

    internal uint Offset([CallerMemberName] string name = "") =>
        Find(name)?.Offset ?? throw Missing(name);

    internal uint? OffsetIfKnown([CallerMemberName] string name = "") =>
        Find(name)?.Offset;

    internal BitField Bits([CallerMemberName] string name = "") =>
        Find(name) is { Length: > 0 } field ? field : throw Missing(name);

    private BitField? Find(string name) => OfSymbols(name) ?? (_fields.TryGetValue(name, out var field) ? field.Value : null);

    private BitField? OfSymbols(string name) =>
        _symbols is null ? null : name != "size" ? _symbols.Field(_inSymbols, name) : _symbols.SizeOf(_inSymbols) is { } bytes ? new BitField(bytes, 0, 0) : null;

    private UnknownFieldException Missing(string name) => new($"{_structure}.{name}");

    // A class: the code of a dictionary of references exists already, that of a dictionary of these would be compiled at every start.
    private sealed class Field(BitField value)
    {
        internal BitField Value { get; } = value;
    }
}

/// <summary>A field that neither the table nor the symbols have.</summary>
internal sealed class UnknownFieldException(string field) : Exception($"neither nt-offsets.json nor the kernel's symbols have {field}")
{
    /// <summary>"_KTHREAD.WaitReason".</summary>
    public string Field { get; } = field;
}
