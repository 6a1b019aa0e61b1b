using System.Reflection;
using System.Text.Json.Serialization;
using Harness.Core.Nt;

namespace Core.Tests.Evidence;

/// <summary>Makes a value of any contract type with every field different from its default, so that a field lost on the way is noticed.</summary>
internal static class Specimen
{
    /// <summary>All kinds a polymorphic contract declares.</summary>
    internal static IEnumerable<Type> Kinds(Type polymorphic) =>
        polymorphic.GetCustomAttributes<JsonDerivedTypeAttribute>().Select(a => a.DerivedType);

    /// <summary>All concrete kinds there are.</summary>
    internal static IEnumerable<Type> ConcreteKinds(Type polymorphic) =>
        polymorphic.Assembly.GetTypes().Where(t => t.IsSubclassOf(polymorphic) && !t.IsAbstract);

    internal static object Of(Type type, int depth = 0)
    {
        if (Nullable.GetUnderlyingType(type) is { } inner) return Of(inner, depth);
        if (type == typeof(string)) return "käse \"quoted\" \\Device\\X\u0001\n<&>";
        if (type == typeof(bool)) return true;
        if (type == typeof(int)) return 412;
        if (type == typeof(byte)) return (byte)200;
        if (type == typeof(ushort)) return (ushort)50_000;
        if (type == typeof(uint)) return 0xFFFF_FFFEu;
        if (type == typeof(ulong)) return ulong.MaxValue;
        if (type == typeof(long)) return 0x1_0000_0001L;
        if (type == typeof(TimeSpan)) return TimeSpan.FromTicks(3_000_000_001);
        if (type == typeof(NtStatus)) return NtStatus.Cancelled;
        if (type == typeof(KernelAddress)) return new KernelAddress(0xFFFF_8000_0000_1234);
        if (type == typeof(DateTimeOffset)) return new DateTimeOffset(2026, 11, 22, 8, 43, 12, TimeSpan.FromHours(1));
        if (type.IsEnum) return Enum.GetValues(type).GetValue(1)!;
        if (type == typeof(byte[])) return new byte[] { 0, 1, 255 };
        if (type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IReadOnlyList<>)) return List(type.GetGenericArguments()[0], depth);
        var constructor = type.GetConstructors().MaxBy(c => c.GetParameters().Length)!;
        var made = constructor.Invoke([.. constructor.GetParameters().Select(p => Of(p.ParameterType, depth + 1))]);
        foreach (var property in type.GetProperties().Where(p => p.SetMethod is not null && constructor.GetParameters().All(c => c.Name != p.Name)))
            property.SetValue(made, Of(property.PropertyType, depth + 1));
        return made;
    }

    private static Array List(Type element, int depth)
    {
        var items = element.IsAbstract ? [.. Kinds(element).Select(k => Of(k, depth + 1))] : new[] { Of(element, depth + 1), Of(element, depth + 1) };
        var list = Array.CreateInstance(element, items.Length);
        for (var i = 0; i < items.Length; i++) list.SetValue(items[i], i);
        return list;
    }
}
