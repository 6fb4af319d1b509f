import CLinux
import Glibc
import LinuxSystem

@testable import Serving

/// Network and mount namespaces of a test's own, as a machine that outlives the supervisors on it: the host's network is
/// out of reach.
final class PrivateMachine {
    private let pid: Int32

    init() throws {
        let script = "ip link set lo up && echo up && exec sleep 1000"
        let output = try DescriptorPair.pipe()
        pid = try Self.spawn(
            ["unshare", "--mount", "--propagation", "private", "--net", "sh", "-c", script],
            output: output.second.rawValue)
        var answer = [UInt8](repeating: 0, count: 3)
        guard read(output.first.rawValue, &answer, 3) == 3 else {
            throw SystemError("make namespaces for a test", .inputOutput)
        }
    }

    /// What makes a command run there.
    var prefix: [String] { ["nsenter", "--mount=/proc/\(pid)/ns/mnt", "--net=/proc/\(pid)/ns/net"] }

    /// The output of a command that runs there.
    func run(_ command: [String]) throws -> String {
        let output = SharedDescriptor(taking: try check(mlr_memfd_create("output", 0), "create a memory file"))
        let child = try Self.spawn(prefix + command, output: output.rawValue)
        var status: Int32 = 0
        waitpid(child, &status, 0)
        lseek(output.rawValue, 0, SEEK_SET)
        return String(decoding: try File.readAll(output.rawValue), as: UTF8.self)
    }

    private static func spawn(_ command: [String], output: Int32) throws -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        let arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        defer { for pointer in arguments { free(pointer) } }
        var pid: pid_t = 0
        let failure = posix_spawnp(&pid, command[0], &actions, nil, arguments, environ)
        if failure != 0 { throw SystemError("start", path: command[0], Errno(rawValue: failure)) }
        return pid
    }

    deinit {
        kill(pid, SIGKILL)
        var status: Int32 = 0
        waitpid(pid, &status, 0)
    }
}
