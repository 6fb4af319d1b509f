import CLinux
import Glibc
import LinuxSystem

@testable import Serving

/// This test program started again to play one part in a test, as a process that may be killed.
///
/// A test that is only enabled for a role is that part's body.
final class Victim {
    private static let roleVariable = "MLRUN_TEST_ROLE"
    private static let argumentsVariable = "MLRUN_TEST_ARGUMENTS"

    static var role: String? { getenv(roleVariable).map { String(cString: $0) } }
    static var arguments: [String] {
        (getenv(argumentsVariable).map { String(cString: $0) } ?? "").split(separator: "\n").map(String.init)
    }

    let pid: Int32

    private init(_ pid: Int32) { self.pid = pid }

    /// - Parameters:
    ///   - log: a file for what it says; nil for nowhere.
    ///   - inOwnMounts: in a mount namespace of its own, so that what it mounts goes with it.
    ///   - wrapper: a command that becomes the program.
    static func start(
        _ role: String, _ arguments: [String], log: String? = nil, inOwnMounts: Bool = false,
        wrapper: [String] = []
    ) throws(SystemError) -> Victim {
        let own = [try File.readLink("/proc/self/exe")] + CommandLine.arguments.dropFirst()
        let filter = "--filter"
        // The test that plays the part is named after the role, in its suite.
        var command = [own[0], "--testing-library", "swift-testing", filter, "\(role)Forever"]
        if own.count > 1, own[1].hasPrefix("--test-bundle-path") { command.insert(contentsOf: own[1...2], at: 1) }
        if inOwnMounts { command = ["unshare", "--mount", "--propagation", "private"] + command }
        command = wrapper + command
        var variables: [String] = [
            "\(roleVariable)=\(role)", "\(argumentsVariable)=\(arguments.joined(separator: "\n"))",
        ]
        var entry = environ
        while let text = entry.pointee {
            variables.append(String(cString: text))
            entry += 1
        }
        var pid: pid_t = 0
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_RDWR, 0)
        posix_spawn_file_actions_addopen(&actions, 2, log ?? "/dev/null", O_RDWR | O_CREAT | O_APPEND, 0o600)
        let arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        let environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
        defer {
            for pointer in arguments + environment { free(pointer) }
        }
        let failure = posix_spawnp(&pid, command[0], &actions, nil, arguments, environment)
        if failure != 0 { throw SystemError("start this program again", Errno(rawValue: failure)) }
        return Victim(pid)
    }

    func kill() {
        _ = Glibc.kill(pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
    }
}

/// A directory of a test's own, removed with all it holds.
final class TemporaryDirectory {
    let path: String

    init() throws(SystemError) {
        path = "/tmp/mlrun-test-\(File.randomName())"
        try File.makeDirectories(path, mode: 0o700)
    }

    deinit { try? File.removeTree(path) }
}
