/* Stands for a driver: build.sh makes the PDB that its own build has, static routines and all. */
struct Device {
    int requests;
    __declspec(noinline) int Read(int length);
};

static volatile int sink;

__declspec(noinline) int Device::Read(int length)
{
    sink += length;
    return requests + length;
}

__declspec(noinline) static int Dispatch(struct Device *device, int length)
{
    sink += 1;
    return device->Read(length) * 3;
}

extern "C" int DriverEntry(struct Device *device, void *path)
{
    return Dispatch(device, path ? 2 : 1);
}
