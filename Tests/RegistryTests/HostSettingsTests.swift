import Testing

@testable import Registry

@Suite("Settings of hosts") struct HostSettingsTests {
    private static let file = "/etc/mlrun/certs.d/registry.example/hosts.toml"

    private func parse(_ text: String) throws -> HostFile { try HostFile(parsing: Array(text.utf8), file: Self.file) }

    private func message(_ text: String) throws -> String {
        do {
            _ = try parse(text)
        } catch let error as RegistryError {
            #expect(error.kind == .configuration)
            return error.message
        }
        return "no error"
    }

    @Test("a file in containerd's form is read with all its settings, mirrors in the order of the file")
    func complete() throws {
        let found = try parse(
            """
            # The registry itself.
            server = "https://registry.example"
            ca = ["root.pem", "/etc/ssl/other.pem"]
            header.x-site = "berlin"

            [host."https://zebra.example:5000"]
              capabilities = ["pull", "resolve"]
              skip_verify = true
              dial_timeout = "1m30.5s"
              [host."https://zebra.example:5000".header]
                x-custom-1 = "one"
                x-custom-2 = ["two", "three"]

            [host."http://ant.example/mirror/v2"]
              client = [["client.cert", "client.key"], ["both.pem", ""]]
            [host."ant.example/raw"]
              override_path = true
              client = "both.pem"
            """)
        #expect(found.server.address?.hostAndPort == "registry.example")
        #expect(found.server.path == "/v2")
        let beside = "/etc/mlrun/certs.d/registry.example"
        #expect(found.server.tls.authorities == ["\(beside)/root.pem", "/etc/ssl/other.pem"])
        #expect(found.server.headers == [.init(name: "x-site", value: "berlin")])
        #expect(found.mirrors.map { $0.address?.host } == ["zebra.example", "ant.example", "ant.example"])
        #expect(found.mirrors.map(\.path) == ["/v2", "/mirror/v2", "/raw"])
        #expect(found.mirrors.map { $0.address?.scheme } == [.https, .http, .https])
        #expect(found.mirrors[0].capabilities == [.pull, .resolve])
        #expect(found.mirrors[0].tls.verifiesCertificate == false)
        #expect(found.mirrors[0].connectTimeout == .seconds(90.5))
        #expect(found.mirrors[0].headers.map(\.value) == ["one", "two", "three"])
        #expect(
            found.mirrors[1].tls.clientCertificates == [
                .init(certificate: "\(beside)/client.cert", key: "\(beside)/client.key"),
                .init(certificate: "\(beside)/both.pem", key: "\(beside)/both.pem"),
            ])
        #expect(found.mirrors[2].tls.clientCertificates.map(\.key) == ["\(beside)/both.pem"])
        #expect(found.mirrors[1].capabilities == .all)
    }

    @Test(
        "whatever is not understood is an error with file and key",
        arguments: [
            ("servr = \"x\"", "servr: line 1: there is no such setting"),
            ("\n[host.\"https://a\"]\nskipverify = true", "host.\"https://a\".skipverify: line 3: there is no such"),
            ("skip_verify = \"yes\"", "skip_verify: is a string, not true or false"),
            ("capabilities = [\"fly\"]", "capabilities: \"fly\" is no capability"),
            ("capabilities = \"pull\"", "capabilities: is a string, not a list"),
            ("dial_timeout = \"soon\"", "dial_timeout: \"soon\" is no duration"),
            ("dial_timeout = \"-5s\"", "dial_timeout: \"-5s\" is no duration"),
            ("client = [[\"a\", \"b\", \"c\"]]", "client[0]: has 3 elements"),
            ("ca = [1]", "ca[0]: is an integer, not a string"),
            ("server = 5", "server: is an integer, not a string"),
            ("server = \"ftp://x\"", "server: \"ftp://x\" is no URL"),
            ("[host.\"https://user:secret@a\"]", "is no URL"),
            ("[header]\n\"a b\" = \"c\"", "header.\"a b\": is no name of a header"),
            ("[header]\na = \"b\\r\\nc: d\"", "header.a: has control characters"),
            ("host = 1", "host: is an integer, not a table"),
            ("server = \"a\"\nserver = \"b\"", "line 2: server is defined twice"),
        ])
    func wrong(text: String, expected: String) throws {
        let found = try message(text)
        #expect(found.contains(expected), "\(found)")
        #expect(found.hasPrefix("\(Self.file): "))
    }

    @Test("TOML is read as its specification has it")
    func toml() throws {
        let table = try TOMLTable(
            parsing: Array(
                #"""
                a.b = 'lite\ral' # comment
                a."c d" = "tab\t\u00e9\U0001F600"
                long = """
                one \
                    two"""
                raw = '''x''y'''
                numbers = [ 1_000, 0x1f, # inside
                  -7, 1.5, 2024-01-01T00:00:00Z, ]
                in = { x = true, y.z = false }
                [[list]]
                n = 1
                [[list]]
                n = 2
                [q]
                [q.r]
                """#.utf8))
        #expect(table.entries.map(\.key) == ["a", "long", "raw", "numbers", "in", "list", "q"])
        guard case .table(let a) = table["a"]?.value else { throw NoFailure() }
        #expect(a["b"]?.value == .string(#"lite\ral"#))
        #expect(a["c d"]?.value == .string("tab\té😀"))
        #expect(table["long"]?.value == .string("one two"))
        #expect(table["raw"]?.value == .string("x''y"))
        let numbers: [TOMLValue] = [
            .integer(1000), .integer(31), .integer(-7), .other("1.5"), .other("2024-01-01T00:00:00Z"),
        ]
        #expect(table["numbers"]?.value == .array(numbers))
        guard case .tables(let list) = table["list"]?.value else { throw NoFailure() }
        #expect(list.map { $0["n"]?.value } == [.integer(1), .integer(2)])
    }

    @Test(
        "broken TOML is refused with its line",
        arguments: [
            ("a = ", 1), ("a", 1), ("\n\na = \"x", 3), ("a = 1 b = 2", 1), ("[a", 1), ("[a]\n[a]", 2),
            ("a = 1\na.b = 2", 2),
            ("a = {b = 1}\na.c = 2", 2), ("a = [1, 2", 1), ("a = \"\\q\"", 1), ("a = yes", 1), ("[a]\nb = 1\n[a.b]", 3),
            ("[[a]]\n[a]", 2), ("a = \"\\ud800\"", 1),
        ])
    func brokenTOML(text: String, line: Int) {
        #expect { try TOMLTable(parsing: Array(text.utf8)) } throws: { ($0 as? TOMLError)?.line == line }
    }

    @Test("nesting without end is refused, not followed")
    func deep() {
        let text = "a = " + String(repeating: "[", count: 100_000)
        #expect(throws: TOMLError.self) { try TOMLTable(parsing: Array(text.utf8)) }
        let dotted = String(repeating: "a.", count: 100_000) + "a = 1"
        #expect(throws: TOMLError.self) { try TOMLTable(parsing: Array(dotted.utf8)) }
    }

    // MARK: Directories

    private func directories(_ files: [String: String]) throws -> (HostDirectories, TemporaryDirectory) {
        let directory = try TemporaryDirectory()
        for (name, text) in files {
            let path = "\(directory.path)/\(name)"
            try Command.run("mkdir", "-p", path.prefix(upTo: path.lastIndex(of: "/")!).description)
            _ = try directory.write(name, text)
        }
        return (HostDirectories(paths: ["\(directory.path)/first", "\(directory.path)/second"]), directory)
    }

    @Test("a registry's own directory goes before a _default, wherever both are")
    func order() throws {
        let (directories, kept) = try directories([
            "first/_default/hosts.toml": "[host.\"https://default.example\"]",
            "second/own.example/hosts.toml": "[host.\"https://own-mirror.example\"]",
            "second/port.example_5000_/hosts.toml": "[host.\"https://underscore.example\"]",
            "first/colon.example:5000/hosts.toml": "[host.\"https://colon-mirror.example\"]",
        ])
        func mirror(_ registry: String) throws -> String? {
            try directories.settings(for: registry)?.mirrors.first?.address?.host
        }
        #expect(try mirror("own.example") == "own-mirror.example")
        #expect(try mirror("port.example:5000") == "underscore.example")
        #expect(try mirror("colon.example:5000") == "colon-mirror.example")
        #expect(try mirror("other.example") == "default.example")
        #expect(try directories.ownSettings(for: "other.example") == nil)
        #expect(try directories.ownSettings(for: "_default") == nil)
        #expect(try directories.ownSettings(for: "../second/own.example") == nil)
        withExtendedLifetime(kept) {}
    }

    @Test("certificates in Docker's layout are taken where there is no hosts.toml, and half a pair is an error")
    func docker() throws {
        let (directories, kept) = try directories([
            "first/a.example/ca.crt": "", "first/a.example/client.cert": "", "first/a.example/client.key": "",
            "first/b.example/client.cert": "", "second/c.example/client.key": "",
        ])
        let tls = try directories.settings(for: "a.example")?.server.tls
        #expect(tls?.authorities == ["\(kept.path)/first/a.example/ca.crt"])
        #expect(tls?.clientCertificates.first?.key == "\(kept.path)/first/a.example/client.key")
        for registry in ["b.example", "c.example"] {
            #expect { try directories.settings(for: registry) } throws: { "\($0)".contains("lacks its") }
        }
    }

    @Test("the directories follow the environment")
    func environment() {
        let standard = HostDirectories.standard { _ in nil }
        #expect(standard == ["/etc/mlrun/certs.d", "/etc/containerd/certs.d", "/etc/docker/certs.d"])
        #expect(HostDirectories.standard { ["MLRUN_CERTS_D": "/a:/b"][$0] } == ["/a", "/b"])
    }

    @Test("logins belong to the host that is connected to, and a registry's own name only to its own server")
    func logins() throws {
        let (_, kept) = try directories([
            "first/docker.io/hosts.toml": "[host.\"https://mirror.example/hub\"]",
            "first/moved.example/hosts.toml": "server = \"https://elsewhere.example\"",
        ])
        let hosts = RegistryHosts(
            configuration: RegistryConfiguration(hostDirectories: ["\(kept.path)/first"], credentials: .none))
        let hub = try hosts.endpoints(of: RegistryRepository(registry: "docker.io", name: "library/busybox"))
        #expect(hub.map(\.login) == ["mirror.example", "docker.io"])
        #expect(hub.map(\.isMirror) == [true, false])
        let address = hub[0].address(.https, repository: "library/busybox", "manifests/latest")?.text
        #expect(address == "https://mirror.example/hub/v2/library/busybox/manifests/latest?ns=docker.io")
        let own = hub[1].address(.https, repository: "library/busybox", "manifests/latest")?.text
        #expect(own == "https://registry-1.docker.io/v2/library/busybox/manifests/latest")
        let moved = try hosts.endpoints(of: RegistryRepository(registry: "moved.example", name: "a"))
        #expect(moved.map(\.login) == ["elsewhere.example"])
    }
}
