import CLinux
import Glibc
import LinuxSystem

/// Debian's docker-registry on a port of 127.0.0.1.
final class DebianRegistry {
    let port: Int
    private let directory: TestDirectory
    private let server: Program

    static let isInstalled = TestMachine.isInstalled("docker-registry", "skopeo")
    static let needs = "needs Debian's docker-registry and skopeo"

    init() throws {
        directory = try TestDirectory()
        port = try FreePort.find()
        let configuration = try directory.write(
            "config.yml",
            """
            version: 0.1
            log: {level: error}
            storage: {filesystem: {rootdirectory: "\(directory.path)/storage"}, delete: {enabled: true}}
            http: {addr: "127.0.0.1:\(port)"}

            """)
        server = try Program(["docker-registry", "serve", configuration])
        let port = self.port
        let answers = TestMachine.eventually(within: 30) {
            (try? HTTPRequest(port: port, path: "/v2/").send())?.status == 200
        }
        if !answers { throw TestFailure("docker-registry does not answer on port \(port)") }
    }

    /// The name of a repository in this registry.
    func name(_ repository: String) -> String { "127.0.0.1:\(port)/\(repository)" }

    deinit { server.end() }
}

enum FreePort {
    /// A port that nobody listens on now.
    static func find() throws -> Int {
        let socket = OwnedDescriptor(
            taking: try check(mlr_socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), "make a socket"))
        try check(mlr_bind_ipv4(socket.rawValue, 0x7F00_0001, 0), "bind a port")
        return Int(try check(mlr_local_port(socket.rawValue), "ask for the port"))
    }
}
