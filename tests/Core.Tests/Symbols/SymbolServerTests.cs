using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;
using FluentAssertions;
using Harness.Core.Nt;
using Harness.Core.Symbols;
using Xunit;

namespace Core.Tests.Symbols;

/// <summary>PDBs that come over HTTP, from a server of the test's own.</summary>
public sealed class SymbolServerTests : IDisposable
{
    private static readonly PdbIdentity Driver = Pdbs.Identity(Pdbs.Driver);
    private static readonly string Place = $"/symbols/sample.pdb/{Driver.Key}/sample.pdb";

    private readonly Folder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("srv*{0}*{1}")]
    [InlineData("cache*{0};srv*{1}")]
    [InlineData("cache*{0};{1}")]
    [InlineData("symsrv*symsrv.dll*{0}*{1}/")]
    public void A_file_is_fetched_once_and_kept_in_the_first_cache(string element)
    {
        using var server = new Server(Answer("200 OK", Pdbs.Bytes(Pdbs.Driver)));
        for (var turn = 0; turn < 2; turn++)
        {
            using var path = SymbolPath.Parse(string.Format(null, element, _folder["cache"], server.Url));
            path.Find("sample.pdb", Driver.Guid, Driver.Age)!.NameOf(0x1010)!.Value.Name.Should().Be("DriverEntry");
            path.Notes.Should().BeEmpty();
        }

        server.Asked.Should().Equal(Place);
        Directory.EnumerateFiles(_folder.Path, "*", SearchOption.AllDirectories).Should().Equal(_folder["cache", "sample.pdb", Driver.Key, "sample.pdb"]);
    }

    [Fact]
    public void Without_a_cache_it_is_read_and_not_kept()
    {
        using var server = new Server(Answer("200 OK", Pdbs.Bytes(Pdbs.Driver)));
        using var path = SymbolPath.Parse("srv*" + server.Url);
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().NotBeNull();
    }

    [Fact]
    public void A_PDB_for_which_there_is_no_place_in_the_cache_is_read_and_not_kept()
    {
        using var server = new Server(Answer("200 OK", Pdbs.Bytes(Pdbs.Driver)));
        File.WriteAllText(_folder["cache"], "a file");
        using var path = SymbolPath.Parse($"srv*{_folder["cache"]}*{server.Url}");
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().NotBeNull();
        path.Notes.Should().ContainSingle().Which.Should().StartWith($"symbols: {Driver} is not kept in {_folder["cache"]}: ");
    }

    [Fact]
    public void A_server_that_does_not_have_it_is_no_failure()
    {
        using var server = new Server(Answer("404 Not Found", []));
        using var path = SymbolPath.Parse($"srv*{_folder.Path}*{server.Url}");
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        path.Notes.Should().BeEmpty();
    }

    [Fact]
    public void A_server_that_fails_is_told_in_a_line()
    {
        using var server = new Server(Answer("503 Service Unavailable", []));
        using var path = SymbolPath.Parse($"srv*{_folder.Path}*{server.Url}");
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        path.Notes.Should().Equal($"symbols: {server.Url} answers 503 for {Driver}");
    }

    [Fact]
    public void A_server_that_breaks_off_leaves_no_half_file_and_is_not_asked_again()
    {
        using var server = new Server([.. Answer("200 OK", Pdbs.Bytes(Pdbs.Driver))[..5000]]);
        using var path = SymbolPath.Parse($"srv*{_folder.Path}*{server.Url}");
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        path.Find("other.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        path.Notes.Should().ContainSingle().Which.Should().StartWith($"symbols: {Driver} could not be fetched from {server.Url}: ").And.NotContain("\n");
        server.Asked.Should().ContainSingle();
        Directory.EnumerateFiles(_folder.Path, "*", SearchOption.AllDirectories).Should().BeEmpty();
    }

    [Theory]
    [InlineData("")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nMicro")]
    public void A_server_that_never_ends_is_given_up_after_the_time_limit(string says)
    {
        using var server = new Server(Encoding.ASCII.GetBytes(says), stays: true);
        using var path = SymbolPath.Parse($"srv*{_folder.Path}*{server.Url}", TimeSpan.FromMilliseconds(300));
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        path.Notes.Should().Equal($"symbols: {server.Url} did not give {Driver} within 0.3 s");
        Directory.EnumerateFiles(_folder.Path, "*", SearchOption.AllDirectories).Should().BeEmpty();
    }

    [Fact]
    public void A_server_that_is_not_there_is_told_in_a_line()
    {
        string url;
        using (var gone = new Server([])) url = gone.Url;
        using var path = SymbolPath.Parse("srv*" + url);
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        path.Notes.Should().ContainSingle().Which.Should().StartWith($"symbols: {Driver} could not be fetched from {url}: ");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_server_sends_instead_of_the_PDB_is_told_and_not_kept(bool cached)
    {
        using var server = new Server(Answer("200 OK", "<html>"u8.ToArray()));
        using var path = SymbolPath.Parse(cached ? $"srv*{_folder.Path}*{server.Url}" : "srv*" + server.Url);
        path.Find("sample.pdb", Driver.Guid, Driver.Age).Should().BeNull();
        path.Notes.Should().Equal($"symbols: {Driver} of {server.Url} is no PDB");
        Directory.EnumerateFiles(_folder.Path, "*", SearchOption.AllDirectories).Should().BeEmpty();
    }

    [Fact]
    public void A_PDB_of_another_build_is_told_and_not_kept()
    {
        var pdb = Pdbs.Bytes(Pdbs.Driver);
        using var server = new Server(Answer("200 OK", pdb));
        using var path = SymbolPath.Parse($"srv*{_folder.Path}*{server.Url}");
        path.Find("sample.pdb", Driver.Guid, Driver.Age + 7).Should().BeNull();
        path.Notes.Should().ContainSingle().Which.Should().Contain($"of {server.Url} is of another build and was not used: it is {Driver.Key}");
        Directory.EnumerateFiles(_folder.Path, "*", SearchOption.AllDirectories).Should().BeEmpty();
    }

    private static byte[] Answer(string status, byte[] body) => [.. Encoding.ASCII.GetBytes($"HTTP/1.1 {status}\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n"), .. body];

    /// <summary>Says the same to everybody, on the loopback interface.</summary>
    private sealed class Server : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private readonly List<TcpClient> _open = [];
        private readonly Task _serving;

        public Server(byte[] says, bool stays = false)
        {
            _listener.Start();
            Url = $"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}/symbols";
            _serving = Task.Run(() => Serve(says, stays));
        }

        public string Url { get; }

        public ConcurrentQueue<string> Asked { get; } = [];

        public void Dispose()
        {
            _listener.Stop();
            _serving.Wait();
            foreach (var client in _open) client.Dispose();
        }

        private void Serve(byte[] says, bool stays)
        {
            while (true)
            {
                TcpClient client;
                try
                {
                    client = _listener.AcceptTcpClient();
                }
                catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
                {
                    return;
                }

                _open.Add(client);
                try
                {
                    // Not to the end of the stream: the client waits for an answer.
                    using var reader = new StreamReader(client.GetStream(), Encoding.ASCII, false, 1024, leaveOpen: true);
                    if (reader.ReadLine() is { } request) Asked.Enqueue(request.Split(' ')[1]);
                    while (reader.ReadLine() is { Length: > 0 })
                    {
                    }

                    client.GetStream().Write(says);
                }
                catch (IOException)
                {
                    // The client has given up.
                }

                if (!stays) client.Dispose();
            }
        }
    }
}
