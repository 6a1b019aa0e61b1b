// Plays PowerShell's side of the target "hyperv" for tests: reads a conversation, one JSON object a line as conversation.jsonl has them, and gives the next line's answer to
// each call. Calls: stand-in CONVERSATION [script arguments] -Step NAME [-Parameter value]…; how far the conversation is stands in CONVERSATION.at, since each call is a
// process of its own. Beyond what is recorded, a line may say how the call misbehaves.
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Threading;

if (args is ["--sleep", var pidFile])
{
    File.WriteAllText(pidFile, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
    await Task.Delay(Timeout.Infinite);
}

var conversation = args[0];
var at = conversation + ".at";
var turn = File.Exists(at) ? int.Parse(File.ReadAllText(at), CultureInfo.InvariantCulture) : 0;
var lines = File.ReadAllLines(conversation);
var step = args[Array.IndexOf(args, "-Step") + 1];
string? Argument(string name) => Array.IndexOf(args, "-" + name) is var i and >= 0 ? args[i + 1] : null;

if (turn >= lines.Length) return Refuse($"the conversation is over, and {step} is asked for");
using var line = JsonDocument.Parse(lines[turn]);
var now = line.RootElement;
bool Says(string name) => now.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.True;
if (now.GetProperty("step").GetString() is { } expected && expected != step) return Refuse($"{expected} was to come, and {step} is asked for");
File.WriteAllText(at, (turn + 1).ToString(CultureInfo.InvariantCulture));

using var output = Console.OpenStandardOutput();
// Bytes in a code page that is none of ours.
if (now.TryGetProperty("noiseBytes", out var noise)) output.Write(Convert.FromHexString(noise.GetString()!));
// More than anybody reads, as lines or as one that does not end.
if (now.TryGetProperty("lines", out var many))
    for (var n = many.GetInt32(); n > 0; n--) output.Write("a line of no use\n"u8);
if (now.TryGetProperty("endless", out var endless))
    for (var n = endless.GetInt32(); n > 0; n--) output.Write("a line without an end "u8);
if (now.TryGetProperty("error", out var error)) Console.Error.WriteLine(error.GetString());
if (now.TryGetProperty("files", out var files))
    foreach (var file in files.EnumerateObject())
    {
        var to = Argument("Destination")!;
        if (file.Name.Length > 0) to = Path.Combine(to, file.Name);
        Directory.CreateDirectory(Path.GetDirectoryName(to)!);
        File.Copy(file.Value.GetString()!, to, overwrite: true);
    }

// A program of the script's own that goes on when nobody ends it.
if (now.TryGetProperty("child", out var child))
{
    var says = child.GetString()!;
    Process.Start(new ProcessStartInfo(Environment.ProcessPath!, ["--sleep", says]) { UseShellExecute = false })!.Dispose();
    // Whoever looks for it afterwards must know who it was.
    SpinWait.SpinUntil(() => File.Exists(says) && new FileInfo(says).Length > 0);
}

if (now.TryGetProperty("answer", out var answer))
    output.Write(Encoding.ASCII.GetBytes($"driverfault:{Convert.ToBase64String(Encoding.UTF8.GetBytes(answer.GetRawText()))}\r\n"));
if (now.TryGetProperty("raw", out var raw)) output.Write(Encoding.ASCII.GetBytes(raw.GetString()! + "\n"));
output.Flush();
if (Says("hangs"))
{
    if (now.TryGetProperty("pidFile", out var pid)) File.WriteAllText(pid.GetString()!, Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
    await Task.Delay(Timeout.Infinite);
}

return now.TryGetProperty("exitCode", out var code) && code.ValueKind == JsonValueKind.Number ? code.GetInt32() : 0;

int Refuse(string why)
{
    Console.Error.WriteLine($"stand-in: {why}");
    File.AppendAllText(conversation + ".refused", why + "\n");
    return 99;
}
