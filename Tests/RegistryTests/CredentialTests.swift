import Glibc
import OCISpec
import Testing

@testable import Registry

@Suite struct CredentialTests {
    private let repository = RegistryRepository(registry: "registry.example:5000", name: "team/app")
    private let hub = RegistryRepository(registry: "docker.io", name: "library/busybox")

    private func entry(_ text: String, _ repository: RegistryRepository) throws -> CredentialFiles.Entry {
        try CredentialFiles.entry(in: Array(text.utf8), path: "/f", for: repository)
    }

    @Test(
        "a login is found under every form of its key",
        arguments: [
            "registry.example:5000", "https://registry.example:5000", "http://registry.example:5000/v2/",
            "https://registry.example:5000/v1/", "Registry.Example:5000", "registry.example:5000/team",
            "registry.example:5000/team/app",
        ])
    func keys(key: String) throws {
        let found = try entry(#"{"auths":{"\#(key)":{"auth":"YW5uOnNlOmNyZXQ="}}}"#, repository)
        #expect(found.credentials?.secret == .password(user: "ann", "se:cret"))
        #expect(found.credentials?.source == "/f")
    }

    @Test(
        "a login for somebody else is not used",
        arguments: [
            "registry.example", "example:5000", "registry.example:5000/other", "registry.example:50000", "docker.io",
        ])
    func foreignKeys(key: String) throws {
        let found = try entry(#"{"auths":{"\#(key)":{"auth":"YW5uOnNlOmNyZXQ="}}}"#, repository)
        #expect(found == CredentialFiles.Entry())
    }

    @Test(
        "Docker Hub's login is found under all its names",
        arguments: ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io", "index.docker.io"])
    func hubKeys(key: String) throws {
        let found = try entry(#"{"auths":{"\#(key)":{"username":"ann","password":"x"}}}"#, hub)
        #expect(found.credentials?.secret == .password(user: "ann", "x"))
        #expect(hub.connectedHost == "registry-1.docker.io")
    }

    @Test("the most specific login wins")
    func specific() throws {
        let text = """
            {"auths":{"registry.example:5000":{"username":"all","password":"x"},
                      "registry.example:5000/team":{"username":"team","password":"y"}}}
            """
        #expect(try entry(text, repository).credentials?.secret == .password(user: "team", "y"))
    }

    @Test("a helper for the host goes before the common one, and both before the file")
    func helpers() throws {
        let text = """
            {"credHelpers":{"registry.example:5000":"special"},"credsStore":"common",
             "auths":{"registry.example:5000":{"username":"ann","password":"x"}}}
            """
        #expect(try entry(text, repository).helper?.name == "special")
        #expect(try entry(text, repository).helper?.server == "registry.example:5000")
        #expect(try entry(text, hub).helper?.name == "common")
        #expect(try entry(text, hub).helper?.server == "https://index.docker.io/v1/")
    }

    @Test("a broken entry is an error with its path")
    func broken() {
        #expect(throws: JSONError.self) { try entry(#"{"auths":{"docker.io":{"auth":"***"}}}"#, hub) }
        #expect(throws: JSONError.self) { try entry(#"{"auths":[]}"#, hub) }
        #expect(throws: JSONError.self) { try entry(#"{"auths":"#, hub) }
    }

    @Test("the standard files follow the environment")
    func standardFiles() {
        let plain = CredentialFiles.standard { ["HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/0"][$0] }
        #expect(
            plain == ["/h/.docker/config.json", "/run/user/0/containers/auth.json", "/h/.config/containers/auth.json"])
        let set = CredentialFiles.standard { ["HOME": "/h", "DOCKER_CONFIG": "/d", "REGISTRY_AUTH_FILE": "/a"][$0] }
        #expect(set == ["/d/config.json", "/a"])
        #expect(CredentialFiles.standard { _ in nil } == ["/run/containers/\(geteuid())/auth.json"])
    }

    @Test("files that are missing are passed over, broken ones are noted and do not stop the search")
    func lookUp() async throws {
        let broken = try directory.write("broken.json", "{")
        let good = try directory.write("good.json", #"{"auths":{"docker.io":{"username":"ann","password":"x"}}}"#)
        let store = CredentialStore(source: CredentialSource(files: ["/does/not/exist", broken, good]))
        let found = await store.lookUp(hub)
        #expect(found.credentials?.source == good)
        #expect(found.troubles.count == 1)
        #expect(found.troubles.first?.hasPrefix(broken) == true)
    }

    // MARK: Helpers

    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func helper(_ name: String, _ script: String, timeout: Duration = .seconds(20)) throws -> CredentialHelper {
        let source = try directory.write("\(name).sh", "#!/bin/sh\n\(script)\n")
        // Written by another process: a child of a parallel test may hold our writing descriptor for a moment, and
        // then the kernel refuses to execute the file (ETXTBSY).
        try Command.run("install", "-m", "755", source, "\(directory.path)/docker-credential-\(name)")
        return CredentialHelper(name: name, timeout: timeout, directory: directory.path)
    }

    @Test("a helper is asked with 'get' and the server on standard input")
    func helperAnswers() throws {
        let script =
            #"read -r server; printf '{"ServerURL":"%s","Username":"%s","Secret":"%s"}' "$server" "$1" "$server""#
        let found = try helper("mlrun-echo", script).get("registry.example:5000")
        #expect(found?.secret == .password(user: "get", "registry.example:5000"))
        #expect(found?.source == "docker-credential-mlrun-echo")
    }

    @Test("a helper's user <token> means an identity token")
    func helperToken() throws {
        let found = try helper("mlrun-token", #"printf '{"Username":"<token>","Secret":"abc"}'"#).get("x")
        #expect(found?.secret == .identityToken("abc"))
    }

    @Test("a helper without credentials is no error")
    func helperWithout() throws {
        let script = "cat > /dev/null; echo 'credentials not found in native keychain'; exit 1"
        #expect(try helper("mlrun-none", script).get("x") == nil)
    }

    @Test("a helper that fails, is missing, or answers nonsense is named")
    func helperFails() throws {
        let failing = try helper("mlrun-fail", "echo locked; exit 2")
        #expect { try failing.get("x") } throws: {
            "\($0)".contains("docker-credential-mlrun-fail could not get the login of x: locked")
        }
        let silly = try helper("mlrun-silly", "echo hello")
        #expect { try silly.get("x") } throws: { "\($0)".contains("cannot be read") }
        let missing = CredentialHelper(name: "mlrun-not-there", timeout: .seconds(5))
        #expect { try missing.get("x") } throws: { "\($0)".contains("no such file") }
        let outside = CredentialHelper(name: "../../bin/sh", timeout: .seconds(5))
        #expect { try outside.get("x") } throws: { "\($0)".contains("is no name") }
    }

    @Test("a helper that hangs is killed, before or after closing its output")
    func helperHangs() throws {
        for script in ["exec sleep 60", "exec < /dev/null > /dev/null; exec sleep 60"] {
            let start = ContinuousClock.now
            let hanging = try helper("mlrun-hang", script, timeout: .milliseconds(300))
            #expect { try hanging.get("x") } throws: { "\($0)".contains("did not answer properly") }
            #expect(ContinuousClock.now - start < .seconds(10))
        }
    }
}
