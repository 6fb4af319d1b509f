import Glibc
import Synchronization

/// A directory of its own that goes away with this value.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/mlrun-registry.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw CommandFailure(description: "mkdtemp: \(errno)") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? Command.run("rm", "-rf", path) }

    /// Writes a file in the directory and returns its path.
    func write(_ name: String, _ text: String) throws -> String {
        let file = "\(path)/\(name)"
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0, Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count else {
            throw CommandFailure(description: "cannot write \(file)")
        }
        close(descriptor)
        return file
    }
}

/// A TCP port of 127.0.0.1 that is taken but on which nobody listens: connections are refused, and a program that
/// sets SO_REUSEADDR can still bind it.
final class ReservedPort: Sendable {
    let number: Int
    private let socket: Mutex<Int32>

    init() throws {
        let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
            }
        }
        guard isBound else { throw CommandFailure(description: "cannot reserve a port: \(errno)") }
        number = Int(UInt16(bigEndian: address.sin_port))
        socket = Mutex(descriptor)
    }

    /// Whether ::1 can be bound on this machine.
    static var isIPv6Loopback: Bool {
        let descriptor = Glibc.socket(AF_INET6, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_in6()
        address.sin6_family = sa_family_t(AF_INET6)
        address.sin6_addr = in6addr_loopback
        let length = socklen_t(MemoryLayout<sockaddr_in6>.size)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) == 0 }
        }
    }

    func release() {
        socket.withLock { descriptor in
            if descriptor >= 0 { close(descriptor) }
            descriptor = -1
        }
    }

    deinit { release() }
}

struct CommandFailure: Error, CustomStringConvertible {
    let description: String
}

/// Runs the programs of other projects that tests compare with.
enum Command {
    static func exists(_ names: String...) -> Bool {
        names.allSatisfy { name in
            ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"].contains { access("\($0)/\(name)", X_OK) == 0 }
        }
    }

    static func run(_ arguments: String...) throws { try run(arguments) }

    static func run(_ arguments: [String]) throws {
        let pid = try start(arguments)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
        guard status == 0 else {
            throw CommandFailure(description: "\(arguments.joined(separator: " ")) ended with status \(status)")
        }
    }

    /// Starts a program with its output thrown away; the caller waits for it.
    static func start(_ arguments: [String]) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor: Int32 in 0...2 {
            posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
        }
        var pointers = arguments.map { strdup($0) } + [nil]
        defer { pointers.forEach { free($0) } }
        let path = strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin")
        defer { free(path) }
        var environment = [path, nil]
        var pid: pid_t = 0
        let result = posix_spawnp(&pid, arguments[0], &actions, nil, &pointers, &environment)
        guard result == 0 else { throw CommandFailure(description: "cannot run \(arguments[0]): \(result)") }
        return pid
    }

    static func stop(_ pid: pid_t) {
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
    }
}
