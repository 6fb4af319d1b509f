import NIOHTTP1
import OCISpec
import Testing

@testable import Registry

@Suite("Proxies") struct ProxyTests {
    @Test(
        "NO_PROXY is understood as Docker understands it",
        arguments: [
            ("", "registry.example", 443, false), ("*", "registry.example", 443, true),
            ("registry.example", "registry.example", 443, true), ("example", "registry.example", 443, true),
            ("REGISTRY.example", "registry.example", 443, true), ("gistry.example", "registry.example", 443, false),
            (".example", "registry.example", 443, true), (".registry.example", "registry.example", 443, false),
            ("*.example", "registry.example", 443, true), ("*.registry.example", "registry.example", 443, false),
            ("registry.example:443", "registry.example", 443, true),
            ("registry.example:5000", "registry.example", 443, false),
            (" a.b , registry.example ", "registry.example", 443, true), (",,", "registry.example", 443, false),
            ("10.0.0.0/8", "10.20.30.40", 443, true), ("10.0.0.0/8", "11.20.30.40", 443, false),
            ("10.20.30.40", "10.20.30.40", 443, true), ("10.20.30.40:80", "10.20.30.40", 443, false),
            ("10.20.30.40:443", "10.20.30.40", 443, true), ("10.20.30.4", "10.20.30.40", 443, false),
            ("10.0.0.0/99", "10.20.30.40", 443, false), ("10.0.0.0/x", "10.20.30.40", 443, false),
            ("fd00::/8", "fd00::1", 443, true), ("fd00::1", "fd00::1", 443, true),
            ("[fd00::1]:443", "fd00::1", 443, true), ("[fd00::1]:80", "fd00::1", 443, false),
            ("::ffff:10.0.0.1", "10.0.0.1", 443, true), ("0.0.0.0/0", "registry.example", 443, false),
            ("", "127.0.0.1", 5000, true), ("", "127.9.9.9", 5000, true), ("", "::1", 5000, true),
            ("", "localhost", 5000, true),
        ])
    func exceptions(list: String, host: String, port: Int, isDirect: Bool) throws {
        let settings = ProxySettings(https: "http://proxy.example:3128", exceptions: list)
        let address = WebAddress(scheme: .https, host: host, port: port, target: "/")
        #expect(try (settings.proxy(for: address) == nil) == isDirect)
    }

    @Test("the proxy is chosen by the scheme, from variables in upper or lower case")
    func variables() throws {
        let settings = ProxySettings {
            ["HTTPS_PROXY": "secure.example:1", "http_proxy": "http://plain.example", "no_proxy": "a"][$0]
        }
        let https = try settings.proxy(for: WebAddress(scheme: .https, host: "r.example", port: 443, target: "/"))
        let http = try settings.proxy(for: WebAddress(scheme: .http, host: "r.example", port: 80, target: "/"))
        #expect(https?.hostAndPort == "secure.example:1" && http?.hostAndPort == "plain.example:80")
        #expect(try settings.proxy(for: WebAddress(scheme: .https, host: "a", port: 443, target: "/")) == nil)
    }

    @Test("a proxy's URL is read strictly, and errors do not tell its password")
    func urls() throws {
        let proxy = try Proxy(parsing: "http://us%65r:p%40ss@[fd00::1]:3128/", name: "HTTPS_PROXY")
        #expect(proxy.hostAndPort == "[fd00::1]:3128")
        #expect(proxy.basic == Base64.encode(Array("user:p@ss".utf8)))
        #expect(try Proxy(parsing: "socks5://p.example", name: "HTTPS_PROXY").port == 1080)
        for text in [
            "https://u:hidden@p", "ftp://u:hidden@p", "http://u:hidden@", "http://u:hidd%zz@p", "socks5://u:hidden@p",
        ] {
            #expect { try Proxy(parsing: text, name: "HTTPS_PROXY") } throws: { error in
                let error = error as? RegistryError
                return error?.kind == .configuration && error?.description.contains("hidd") == false
                    && error?.message.hasPrefix("HTTPS_PROXY") == true
            }
        }
    }

    @Test(
        "a registry behind a proxy is reached by CONNECT, TLS from end to end and the proxy's login kept from it",
        .enabled(if: TestAuthority.isPossible, "openssl makes the certificates"))
    func connect() async throws {
        let authority = try TestAuthority()
        let registry = FakeRegistry.withImage()
        let server = try await ScriptedServer.start(
            tls: try authority.context(try authority.issue("registry", for: "DNS:registry.invalid"))
        ) { registry.answer($0) }
        let login = Base64.encode(Array("ann:secret".utf8))
        let proxy = try await ConnectProxy.start(login: login)
        // Such a name leads nowhere: what comes to the server has come through the proxy.
        let reference = ImageReference(registry: "registry.invalid:\(server.port)", repository: "team/app", tag: "v1")

        let client = makeClient(
            authorities: [authority.certificate],
            proxies: ProxySettings(https: "http://ann:secret@127.0.0.1:\(proxy.port)"))
        _ = try await client.manifest(for: reference)
        await client.shutdown()
        #expect(proxy.requests.count == 1)
        #expect(proxy.requests.first?.hasPrefix("CONNECT registry.invalid:\(server.port) HTTP/1.1\r\n") == true)
        #expect(server.requests.count == 1)
        #expect(server.requests.first?.headers["Proxy-Authorization"] == [])

        let stranger = makeClient(
            authorities: [authority.certificate], proxies: ProxySettings(https: "127.0.0.1:\(proxy.port)"))
        let refused = try await failure { try await stranger.manifest(for: reference) }
        await stranger.shutdown()
        #expect(refused.kind == .unauthorized)
        #expect(refused.message.contains("the proxy 127.0.0.1:\(proxy.port) wants a user name and password"))

        let port = try ReservedPort()
        let lost = makeClient(attempts: 1, proxies: ProxySettings(https: "http://127.0.0.1:\(port.number)"))
        let error = try await failure { try await lost.manifest(for: reference) }
        await lost.shutdown()
        #expect(
            error.message.contains("cannot connect to the proxy 127.0.0.1:\(port.number) on the way to"), "\(error)")
        #expect(error.remedy?.contains("NO_PROXY") == true)
        await proxy.stop()
        await server.stop()
    }
}
