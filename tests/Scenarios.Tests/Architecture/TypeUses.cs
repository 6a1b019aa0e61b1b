using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Scenarios.Tests.Architecture;

/// <summary>One type that another uses, in a signature or in a method's IL.</summary>
/// <param name="User">The outermost type whose code it is.</param>
/// <param name="UserSpace">Its namespace.</param>
/// <param name="Used">The outermost type that is used.</param>
/// <param name="UsedSpace">Its namespace.</param>
/// <param name="UsedAssembly">The assembly of the used type; null for this one.</param>
internal sealed record Use(string User, string UserSpace, string Used, string UsedSpace, string? UsedAssembly);

/// <summary>Reads from an assembly's metadata and IL which types its types use, and which strings its code holds.</summary>
internal sealed class TypeUses : IDisposable
{
    private readonly PEReader _image;
    private readonly MetadataReader _metadata;

    public TypeUses(string assembly)
    {
        _image = new PEReader(File.OpenRead(assembly));
        _metadata = _image.GetMetadataReader();
    }

    public void Dispose() => _image.Dispose();

    /// <summary>Every use, each once. Nested and compiler-made types count as the type around them.</summary>
    public IReadOnlyCollection<Use> All()
    {
        var uses = new HashSet<Use>();
        foreach (var handle in _metadata.TypeDefinitions)
        {
            var (space, name) = Outermost(handle);
            if (space.Length == 0 || !space.StartsWith("Harness.", StringComparison.Ordinal)) continue;
            foreach (var used in UsedBy(_metadata.GetTypeDefinition(handle)))
                if (used != (space, name, null))
                    uses.Add(new Use(name, space, used.Name, used.Space, used.Assembly));
        }

        return uses;
    }

    /// <summary>Every member of other assemblies' types that is named in the IL of these namespaces and those below: "Marshal.Copy", "StreamReader..ctor(Stream)".</summary>
    public IReadOnlyCollection<string> Members(params IReadOnlyList<string> spaces)
    {
        var members = new HashSet<string>();
        var decoder = new Names(this);
        foreach (var handle in _metadata.TypeDefinitions)
        {
            var space = Outermost(handle).Space;
            if (!spaces.Any(wanted => space == wanted || space.StartsWith(wanted + ".", StringComparison.Ordinal))) continue;
            foreach (var method in _metadata.GetTypeDefinition(handle).GetMethods().Select(_metadata.GetMethodDefinition).Where(method => method.RelativeVirtualAddress != 0))
                foreach (var token in Tokens(_image.GetMethodBody(method.RelativeVirtualAddress).GetILReader()))
                {
                    var named = token.Kind == HandleKind.MethodSpecification ? _metadata.GetMethodSpecification((MethodSpecificationHandle)token).Method : token;
                    if (named.Kind != HandleKind.MemberReference) continue;
                    var member = _metadata.GetMemberReference((MemberReferenceHandle)named);
                    if (Resolve(member.Parent, decoder).FirstOrDefault() is { Assembly: not null } type) members.Add($"{type.Name}.{_metadata.GetString(member.Name)}{Takes(member, decoder)}");
                }
        }

        return members;
    }

    // What a constructor is given says what it does: a StreamReader of a stream, or of a file's name.
    private string Takes(MemberReference member, Names decoder) => _metadata.GetString(member.Name) != ".ctor" ? ""
        : $"({string.Join(", ", member.DecodeMethodSignature(decoder, null).ParameterTypes.Select(types => types.Select(type => type.Name).FirstOrDefault("")))})";

    /// <summary>How many functions of native libraries the assembly declares (ECMA-335 II.22.22).</summary>
    public int NativeFunctions => _metadata.GetTableRowCount(TableIndex.ImplMap);

    /// <summary>All string literals.</summary>
    public IEnumerable<string> Strings()
    {
        for (var handle = MetadataTokens.UserStringHandle(1); !handle.IsNil && MetadataTokens.GetHeapOffset(handle) < _metadata.GetHeapSize(HeapIndex.UserString); handle = _metadata.GetNextHandle(handle))
            yield return _metadata.GetUserString(handle);
    }

    private IEnumerable<TypeName> UsedBy(TypeDefinition type)
    {
        var handles = new List<EntityHandle> { type.BaseType };
        var decoder = new Names(this);
        var found = new List<TypeName>();
        handles.AddRange(type.GetInterfaceImplementations().Select(i => _metadata.GetInterfaceImplementation(i).Interface));
        handles.AddRange(type.GetCustomAttributes().Select(a => _metadata.GetCustomAttribute(a).Constructor));
        foreach (var parameter in type.GetGenericParameters())
            handles.AddRange(_metadata.GetGenericParameter(parameter).GetConstraints().Select(c => _metadata.GetGenericParameterConstraint(c).Type));
        foreach (var field in type.GetFields().Select(_metadata.GetFieldDefinition))
        {
            found.AddRange(field.DecodeSignature(decoder, null));
            handles.AddRange(field.GetCustomAttributes().Select(a => _metadata.GetCustomAttribute(a).Constructor));
        }

        foreach (var property in type.GetProperties().Select(_metadata.GetPropertyDefinition))
            handles.AddRange(property.GetCustomAttributes().Select(a => _metadata.GetCustomAttribute(a).Constructor));
        foreach (var method in type.GetMethods().Select(_metadata.GetMethodDefinition))
        {
            found.AddRange(All(method.DecodeSignature(decoder, null)));
            if (method.RelativeVirtualAddress == 0) continue;
            var body = _image.GetMethodBody(method.RelativeVirtualAddress);
            if (!body.LocalSignature.IsNil) found.AddRange(_metadata.GetStandaloneSignature(body.LocalSignature).DecodeLocalSignature(decoder, null).SelectMany(names => names));
            handles.AddRange(body.ExceptionRegions.Select(region => region.CatchType));
            handles.AddRange(Tokens(body.GetILReader()));
        }

        return found.Concat(handles.Where(handle => !handle.IsNil).SelectMany(handle => Resolve(handle, decoder))).Distinct();
    }

    private IEnumerable<TypeName> Resolve(EntityHandle handle, Names decoder) => handle.Kind switch
    {
        HandleKind.TypeDefinition or HandleKind.TypeReference => [Named(handle)],
        HandleKind.TypeSpecification => _metadata.GetTypeSpecification((TypeSpecificationHandle)handle).DecodeSignature(decoder, null),
        HandleKind.MethodDefinition => [Named(_metadata.GetMethodDefinition((MethodDefinitionHandle)handle).GetDeclaringType())],
        HandleKind.FieldDefinition => [Named(_metadata.GetFieldDefinition((FieldDefinitionHandle)handle).GetDeclaringType())],
        HandleKind.MemberReference => Member(_metadata.GetMemberReference((MemberReferenceHandle)handle), decoder),
        HandleKind.MethodSpecification => Instance(_metadata.GetMethodSpecification((MethodSpecificationHandle)handle), decoder),
        _ => [],
    };

    private IEnumerable<TypeName> Member(MemberReference member, Names decoder) => Resolve(member.Parent, decoder).Concat(
        member.GetKind() == MemberReferenceKind.Method ? All(member.DecodeMethodSignature(decoder, null)) : member.DecodeFieldSignature(decoder, null));

    private IEnumerable<TypeName> Instance(MethodSpecification method, Names decoder) =>
        Resolve(method.Method, decoder).Concat(method.DecodeSignature(decoder, null).SelectMany(names => names));

    private static IEnumerable<TypeName> All(MethodSignature<TypeName[]> signature) => signature.ReturnType.Concat(signature.ParameterTypes.SelectMany(names => names));

    private TypeName Named(EntityHandle type)
    {
        if (type.Kind == HandleKind.TypeDefinition)
        {
            var (space, name) = Outermost((TypeDefinitionHandle)type);
            return new TypeName(space, name, null);
        }

        var reference = _metadata.GetTypeReference((TypeReferenceHandle)type);
        while (reference.ResolutionScope.Kind == HandleKind.TypeReference) reference = _metadata.GetTypeReference((TypeReferenceHandle)reference.ResolutionScope);
        var assembly = reference.ResolutionScope.Kind == HandleKind.AssemblyReference
            ? _metadata.GetString(_metadata.GetAssemblyReference((AssemblyReferenceHandle)reference.ResolutionScope).Name)
            : null;
        return new TypeName(_metadata.GetString(reference.Namespace), _metadata.GetString(reference.Name), assembly);
    }

    private (string Space, string Name) Outermost(TypeDefinitionHandle handle)
    {
        var type = _metadata.GetTypeDefinition(handle);
        while (!type.GetDeclaringType().IsNil) type = _metadata.GetTypeDefinition(type.GetDeclaringType());
        return (_metadata.GetString(type.Namespace), _metadata.GetString(type.Name));
    }

    // ECMA-335 III.1.9: an operand that is a token names a type, a member or a signature.
    private static IEnumerable<EntityHandle> Tokens(BlobReader il)
    {
        var tokens = new List<EntityHandle>();
        while (il.RemainingBytes > 0)
        {
            int first = il.ReadByte();
            var code = first == 0xFE ? Codes.Value[0xFE00 | il.ReadByte()] : Codes.Value[first];
            switch (code.OperandType)
            {
                case OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType:
                    tokens.Add(MetadataTokens.EntityHandle(il.ReadInt32()));
                    break;
                case OperandType.InlineSwitch:
                    var targets = il.ReadInt32();
                    il.Offset += 4 * targets;
                    break;
                case var operand:
                    il.Offset += Length(operand);
                    break;
            }
        }

        return tokens;
    }

    private static int Length(OperandType operand) => operand switch
    {
        OperandType.InlineNone => 0,
        OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
        OperandType.InlineVar => 2,
        OperandType.InlineI8 or OperandType.InlineR => 8,
        _ => 4,
    };

    private static readonly Lazy<Dictionary<int, OpCode>> Codes = new(() => typeof(OpCodes).GetFields()
        .Select(field => (OpCode)field.GetValue(null)!).ToDictionary(code => code.Value & 0xFFFF));

    private readonly record struct TypeName(string Space, string Name, string? Assembly)
    {
        public static implicit operator TypeName((string Space, string Name, string? Assembly) name) => new(name.Space, name.Name, name.Assembly);
    }

    // A signature as the types that are named in it.
    private sealed class Names(TypeUses uses) : ISignatureTypeProvider<TypeName[], object?>
    {
        public TypeName[] GetArrayType(TypeName[] elementType, ArrayShape shape) => elementType;

        public TypeName[] GetByReferenceType(TypeName[] elementType) => elementType;

        public TypeName[] GetFunctionPointerType(MethodSignature<TypeName[]> signature) => [.. All(signature)];

        public TypeName[] GetGenericInstantiation(TypeName[] genericType, System.Collections.Immutable.ImmutableArray<TypeName[]> typeArguments) => [.. genericType, .. typeArguments.SelectMany(names => names)];

        public TypeName[] GetGenericMethodParameter(object? genericContext, int index) => [];

        public TypeName[] GetGenericTypeParameter(object? genericContext, int index) => [];

        public TypeName[] GetModifiedType(TypeName[] modifier, TypeName[] unmodifiedType, bool isRequired) => [.. modifier, .. unmodifiedType];

        public TypeName[] GetPinnedType(TypeName[] elementType) => elementType;

        public TypeName[] GetPointerType(TypeName[] elementType) => elementType;

        public TypeName[] GetPrimitiveType(PrimitiveTypeCode typeCode) => [];

        public TypeName[] GetSZArrayType(TypeName[] elementType) => elementType;

        public TypeName[] GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) => [uses.Named(handle)];

        public TypeName[] GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) => [uses.Named(handle)];

        public TypeName[] GetTypeFromSpecification(MetadataReader reader, object? genericContext, TypeSpecificationHandle handle, byte rawTypeKind) =>
            reader.GetTypeSpecification(handle).DecodeSignature(this, genericContext);
    }
}
