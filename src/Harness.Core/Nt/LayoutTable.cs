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
        var reference = new Dictionary<string, LayoutFields>();
        var stable = new Dictionary<string, List<string>>();
        var reader = new Utf8JsonReader(json);
        reader.Read();
        while (NextProperty(ref reader, out var property))
        {
            if (property is "builds") ReadBuilds(ref reader, own, table._structures, reference);
            else if (property is "stable_14393_to_22631") ReadStable(ref reader, stable);
            else if (property is "irp_flat_19041" or "io_stack_location_flat_19041" or "kswitch_frame_x64") table._structures[property] = ReadFields(ref reader, property);
            else reader.Skip();
        }

        table.Assume(stable, reference);
        return table;
    }

    /// <summary>A field that was the same from 14393 to 22631 and that this build's sources don't tell is taken to be there still.</summary>
    private void Assume(Dictionary<string, List<string>> stable, Dictionary<string, LayoutFields> reference)
    {
        foreach (var (name, fields) in stable)
        {
            if (!reference.TryGetValue(name, out var from)) continue;
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

    internal LayoutFields(string structure) => _structure = structure;

    internal void Add(string name, BitField field) => _fields[name] = new Field(field);

    internal bool Borrow(string name, LayoutFields from) =>
        from._fields.TryGetValue(name, out var field) && _fields.TryAdd(name, field);

    internal uint Size() => Offset("size");

    internal uint Offset([CallerMemberName] string name = "") =>
        _fields.TryGetValue(name, out var field) ? field.Value.Offset : throw Missing(name);

    internal uint? OffsetIfKnown([CallerMemberName] string name = "") =>
        _fields.TryGetValue(name, out var field) ? field.Value.Offset : null;

    internal BitField Bits([CallerMemberName] string name = "") =>
        _fields.TryGetValue(name, out var field) && field.Value.Length > 0 ? field.Value : throw Missing(name);

    private InvalidDataException Missing(string name) => new($"nt-offsets.json has no {_structure}.{name}");

    // A class: the code of a dictionary of references exists already, that of a dictionary of these would be compiled at every start.
    private sealed class Field(BitField value)
    {
        internal BitField Value { get; } = value;
    }
}
