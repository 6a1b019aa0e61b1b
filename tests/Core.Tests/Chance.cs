namespace Core.Tests;

/// <summary>Chance from a seed (xorshift64*), the same on every machine.</summary>
internal sealed class Chance(ulong seed)
{
    private ulong _state = seed;

    public ulong Next()
    {
        _state ^= _state >> 12;
        _state ^= _state << 25;
        _state ^= _state >> 27;
        return _state * 0x2545F4914F6CDD1D;
    }

    public int Below(int bound) => (int)(Next() % (ulong)bound);
}
