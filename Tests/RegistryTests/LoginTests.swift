import Glibc
import NIOHTTP1
import OCISpec
import Testing

@testable import Registry

@Suite("Logging in and out") struct LoginTests {
    private let directory: TemporaryDirectory
    private var file: String { "\(directory.path)/config.json" }
    private var source: CredentialSource { CredentialSource(files: [file]) }

    init() throws { directory = try TemporaryDirectory() }

    private func verified(_ host: String, _ secret: Credentials.Secret = .password(user: "ann", "se:cret")) throws
        -> VerifiedLogin
    {
        VerifiedLogin(host: try LoginHost(host), user: "ann", secret: secret)
    }

    private func text(_ path: String? = nil) throws -> JSON {
        try JSON(parsing: try #require(try SettingsFile.read(path ?? file)))
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    @Test("a login is written beside what the file holds already, for its owner only")
    func store() async throws {
        _ = try directory.write(
            "config.json",
            #"{"HttpHeaders":{"a":"b"},"auths":{"other.example":{"auth":"eDp5"},"https://R.example:5000/v2/":{}},"x":1.5}"#
        )
        chmod(file, 0o644)
        #expect(try await LoginStore(source).store(verified("https://r.example:5000/")) == .file(file))
        let auth = Base64.encode(Array("ann:se:cret".utf8))
        #expect(
            try text() == [
                "HttpHeaders": ["a": "b"],
                "auths": ["other.example": ["auth": "eDp5"], "r.example:5000": ["auth": .string(auth)]], "x": 1.5,
            ])
        #expect(mode(file) == 0o600)
        let found = await CredentialStore(source: source).lookUp(
            RegistryRepository(registry: "r.example:5000", name: "team/app"))
        #expect(found.credentials?.secret == .password(user: "ann", "se:cret"))
    }

    @Test("a missing file and its directory are made, Docker Hub and tokens written as Docker writes them")
    func create() async throws {
        let source = CredentialSource(files: ["\(directory.path)/new/config.json"])
        _ = try await LoginStore(source).store(verified("index.docker.io", .identityToken("tok")))
        let auth = Base64.encode(Array("ann:".utf8))
        #expect(
            try text(source.files[0]) == [
                "auths": ["https://index.docker.io/v1/": ["auth": .string(auth), "identitytoken": "tok"]]
            ])
        #expect(mode("\(directory.path)/new") == 0o700)
        let found = await CredentialStore(source: source).lookUp(RegistryRepository(registry: "docker.io", name: "a"))
        #expect(found.credentials?.secret == .identityToken("tok"))
    }

    @Test("logins at the same time do not undo each other")
    func atOnce() async throws {
        let source = source
        let logins = try (0..<24).map { try verified("r\($0).example") }
        try await withThrowingTaskGroup { group in
            for login in logins { group.addTask { _ = try await LoginStore(source).store(login) } }
            try await group.waitForAll()
        }
        #expect(try text()["auths"]?.object?.count == logins.count)
    }

    @Test("a file behind a symbolic link is changed where it lies")
    func link() async throws {
        try Command.run("mkdir", "\(directory.path)/real")
        try Command.run("ln", "-s", "real/config.json", file)
        #expect(
            try await LoginStore(source).store(verified("r.example")) == .file("\(directory.path)/real/config.json"))
        #expect(try text("\(directory.path)/real/config.json")["auths"]?["r.example"] != nil)
        var status = stat()
        #expect(lstat(file, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
    }

    @Test("a file that cannot be read is left as it is", arguments: ["{", "[]", #"{"auths":[]}"#])
    func broken(content: String) async throws {
        _ = try directory.write("config.json", content)
        let error = try await failure { try await LoginStore(source).store(verified("r.example")) }
        #expect(error.kind == .configuration && error.message.contains(file))
        #expect(try SettingsFile.read(file) == Array(content.utf8))
    }

    @Test("logging out removes every spelling, one registry or all, from every file, and says where from")
    func remove() async throws {
        let other = try directory.write(
            "auth.json", #"{"auths":{"r.example":{"auth":"eDp5"},"s.example/team":{"auth":"eDp5"}}}"#)
        _ = try directory.write(
            "config.json",
            #"{"auths":{"https://r.example/v1/":{"auth":"eDp5"},"r.example":{},"t.example":{"auth":"eDp5"}}}"#)
        let store = LoginStore(CredentialSource(files: [file, "\(directory.path)/missing.json", other]))
        #expect(try await store.remove("u.example").isEmpty)
        #expect(try await store.remove("r.example") == [.file(file), .file(other)])
        #expect(try text() == ["auths": ["t.example": ["auth": "eDp5"]]])
        #expect(try await store.remove("r.example").isEmpty)
        #expect(try await store.remove(nil) == [.file(file), .file(other)])
        #expect(try text() == ["auths": [:]] && text(other) == ["auths": [:]])
    }

    @Test("a helper stores, lists, gives and erases, and nothing readable stays in the file")
    func helper() throws {
        let script = """
            #!/bin/sh
            store="\(directory.path)/store"
            mkdir -p "$store"
            case $1 in
            store) read -r entry; server=$(printf %s "$entry" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/')
                printf %s "$entry" > "$store/$server";;
            get) read -r server; cat "$store/$server" 2> /dev/null || { echo "credentials not found in native keychain"; exit 1; };;
            erase) read -r server; rm "$store/$server" 2> /dev/null || { echo "credentials not found in native keychain"; exit 1; };;
            list) printf '{"r.example":"ann"}';;
            esac
            """
        let path = try directory.write("helper.sh", script)
        try Command.run("install", "-m", "755", path, "\(directory.path)/docker-credential-mlrun-test")
        let helper = CredentialHelper(name: "mlrun-test", timeout: .seconds(20), directory: directory.path)
        #expect(try helper.get("r.example") == nil)
        #expect(try !helper.erase("r.example"))
        try helper.store(.password(user: "ann", "secret"), for: "r.example")
        #expect(try helper.get("r.example")?.secret == .password(user: "ann", "secret"))
        #expect(try helper.list() == ["r.example"])
        try helper.store(.identityToken("tok"), for: "r.example")
        #expect(try helper.get("r.example")?.secret == .identityToken("tok"))
        #expect(try helper.erase("r.example"))
        #expect(try helper.get("r.example") == nil)
    }

    @Test("a helper that is not there stops the login before anything is changed")
    func missingHelper() async throws {
        let content = #"{"credsStore":"mlrun-nowhere"}"#
        _ = try directory.write("config.json", content)
        let error = try await failure { try await LoginStore(source).store(verified("r.example")) }
        #expect(error.message.contains("cannot run docker-credential-mlrun-nowhere"))
        #expect(try SettingsFile.read(file) == Array(content.utf8))
    }

    @Test("what is no registry is refused", arguments: ["", "a b", "host/team", "http://", "user@host", "a:b"])
    func hosts(text: String) {
        #expect(throws: RegistryError.self) { try LoginHost(text) }
    }

    // MARK: Asking the registry

    private static let login = Base64.encode(Array("ann:secret".utf8))

    private func verify(_ script: @escaping ScriptedServer.Script, password: String = "secret") async throws
        -> (VerifiedLogin?, RegistryError?, [Received])
    {
        let server = try await ScriptedServer.start(script)
        let client = makeClient()
        var result: (VerifiedLogin?, RegistryError?, [Received]) = (nil, nil, [])
        do throws(RegistryError) {
            let login = Login(host: try LoginHost(server.address), user: "ann", password: password)
            result.0 = try await client.verify(login)
        } catch {
            result.1 = error
        }
        result.2 = server.requests
        await client.shutdown()
        await server.stop()
        return result
    }

    @Test("Basic is tried once, right or wrong")
    func basic() async throws {
        let script: ScriptedServer.Script = {
            $0.authorization == "Basic \(Self.login)"
                ? .status(.ok) : .status(.unauthorized, [("WWW-Authenticate", "Basic realm=\"x\"")])
        }
        let (good, _, asked) = try await verify(script)
        #expect(good?.secret == .password(user: "ann", "secret"))
        #expect(asked.map(\.path) == ["/v2/", "/v2/"])
        let (_, error, tries) = try await verify(script, password: "wrong")
        #expect(error?.kind == .unauthorized && error?.message.contains("refuses the user name or password") == true)
        #expect(error?.description.contains("wrong") == false && tries.count == 2)
    }

    @Test("a token server is asked for a token to keep, and the password kept where it gives none")
    func bearer() async throws {
        for refresh in [nil, "keep"] {
            let script: ScriptedServer.Script = { request in
                let host = request.headers.first(name: "Host") ?? ""
                if request.path == "/token" {
                    guard request.authorization == "Basic \(Self.login)" else {
                        return .status(.unauthorized, [], #"{"details":"incorrect username or password"}"#)
                    }
                    let kept = refresh.map { #","refresh_token":"\#($0)""# } ?? ""
                    return .status(.ok, [], #"{"token":"t"\#(kept)}"#)
                }
                return request.authorization == "Bearer t"
                    ? .status(.ok)
                    : .status(
                        .unauthorized, [("WWW-Authenticate", #"Bearer realm="http://\#(host)/token",service="s""#)])
            }
            let (found, _, asked) = try await verify(script)
            #expect(found?.isToken == (refresh != nil))
            let token = try #require(asked.first { $0.path == "/token" }?.uri)
            #expect(
                token.contains("offline_token=true") && token.contains("account=ann") && token.contains("service=s"))
            let (_, error, _) = try await verify(script, password: "wrong")
            #expect(error?.message.contains("refuses the user name or password") == true)
        }
    }

    @Test("a host that is no registry is told from a wrong password")
    func noRegistry() async throws {
        let (_, error, _) = try await verify { _ in .status(.notFound, [], "<html>") }
        #expect(error?.kind == .notFound)
    }
}
