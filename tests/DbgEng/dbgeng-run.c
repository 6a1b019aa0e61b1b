/*
 * Opens a kernel dump with Microsoft's debugger engine, executes debugger commands and prints what it says, "== command" before each.
 *
 *   dbgeng-run FOLDER-OF-DBGENG DUMP IMAGE-PATH COMMAND...
 *
 * Exit code 0, or 1 with one line that says what failed. Images and symbols are looked for in IMAGE-PATH and nowhere else.
 */
#define CINTERFACE
#define COBJMACROS
#include <initguid.h>
#include <windows.h>
#include <dbgeng.h>
#include <stdio.h>

static HRESULT STDMETHODCALLTYPE QueryInterface(IDebugOutputCallbacks *This, REFIID InterfaceId, PVOID *Interface)
{
    /* Only this one: who says yes to IDebugOutputCallbacks2 is called by it. */
    if (IsEqualGUID(InterfaceId, &IID_IDebugOutputCallbacks) || IsEqualGUID(InterfaceId, &IID_IUnknown)) {
        *Interface = This;
        return S_OK;
    }

    *Interface = NULL;
    return E_NOINTERFACE;
}

static ULONG STDMETHODCALLTYPE CountReference(IDebugOutputCallbacks *This)
{
    (void)This;
    return 1;
}

static HRESULT STDMETHODCALLTYPE Output(IDebugOutputCallbacks *This, ULONG Mask, PCSTR Text)
{
    (void)This;
    (void)Mask;
    fputs(Text, stdout);
    return S_OK;
}

static IDebugOutputCallbacksVtbl OutputCallbacksVtbl = { QueryInterface, CountReference, CountReference, Output };
static IDebugOutputCallbacks OutputCallbacks = { &OutputCallbacksVtbl };

static int Failed(const char *What, HRESULT Result)
{
    printf("dbgeng-run: %s: 0x%08lx\n", What, (unsigned long)Result);
    fflush(stdout);
    return 1;
}

static int Run(int argc, char **argv)
{
    typedef HRESULT(WINAPI * DEBUG_CREATE)(REFIID InterfaceId, PVOID *Interface);
    char library[MAX_PATH];
    HMODULE engine;
    DEBUG_CREATE create;
    IDebugClient *client;
    IDebugControl *control;
    IDebugSymbols *symbols;
    HRESULT result;
    int i;

    if (argc < 4) {
        return Failed("usage", E_INVALIDARG);
    }

    SetDllDirectoryA(argv[1]);
    snprintf(library, sizeof(library), "%s\\dbgeng.dll", argv[1]);
    engine = LoadLibraryA(library);
    if (engine == NULL) {
        return Failed(library, HRESULT_FROM_WIN32(GetLastError()));
    }

    create = (DEBUG_CREATE)(void *)GetProcAddress(engine, "DebugCreate");
    result = create == NULL ? E_FAIL : create(&IID_IDebugClient, (PVOID *)&client);
    if (FAILED(result)) {
        return Failed("DebugCreate", result);
    }

    client->lpVtbl->QueryInterface(client, &IID_IDebugControl, (PVOID *)&control);
    client->lpVtbl->QueryInterface(client, &IID_IDebugSymbols, (PVOID *)&symbols);
    client->lpVtbl->SetOutputCallbacks(client, &OutputCallbacks);
    symbols->lpVtbl->SetSymbolPath(symbols, argv[3]);
    symbols->lpVtbl->SetImagePath(symbols, argv[3]);
    result = client->lpVtbl->OpenDumpFile(client, argv[2]);
    if (FAILED(result)) {
        return Failed("OpenDumpFile", result);
    }

    result = control->lpVtbl->WaitForEvent(control, 0, INFINITE);
    if (result != S_OK) {
        return Failed("WaitForEvent", result);
    }

    for (i = 4; i < argc; i++) {
        printf("== %s\n", argv[i]);
        result = control->lpVtbl->Execute(control, DEBUG_OUTCTL_THIS_CLIENT, argv[i], 0);
        if (FAILED(result)) {
            return Failed(argv[i], result);
        }
    }

    return 0;
}

int main(int argc, char **argv)
{
    int code = Run(argc, argv);

    fflush(stdout);
    /* The engine's own threads need not be waited for. */
    ExitProcess((UINT)code);
}
