import CLinux
import Glibc
import LinuxSystem

/// A program run to its end, for the tests that need one.
enum Command {
    struct Result {
        var status: Int32
        var output: String
    }

    /// Where a program is; nil when it is not installed.
    static func path(of name: String) -> String? {
        let directories = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        return directories.split(separator: ":").map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    static func has(_ names: String...) -> Bool { names.allSatisfy { path(of: $0) != nil } }

    /// Runs a program with its output, of both kinds, collected.
    @discardableResult
    static func run(_ arguments: [String], input: String? = nil) throws -> Result {
        guard let program = path(of: arguments[0]) else { throw SystemError("find", path: arguments[0], .noSuchFile) }
        let pipe = try DescriptorPair.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, input ?? "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, pipe.second.rawValue, 1)
        posix_spawn_file_actions_adddup2(&actions, pipe.second.rawValue, 2)
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        var pid: pid_t = 0
        let failure = posix_spawn(&pid, program, &actions, nil, &words, environ)
        if failure != 0 { throw SystemError("start", path: program, Errno(rawValue: failure)) }
        var output: [UInt8] = []
        pipe.split { reading, writing in
            close(writing.release())
            output = (try? File.readAll(reading.rawValue)) ?? []
        }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let code = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + (status & 0x7F)
        return Result(status: code, output: String(decoding: output, as: UTF8.self))
    }

    /// Runs a program whose failure is an error.
    static func succeed(_ arguments: String..., input: String? = nil) throws {
        let result = try run(arguments, input: input)
        if result.status != 0 { throw Failed(command: arguments.joined(separator: " "), result: result) }
    }

    struct Failed: Error, CustomStringConvertible {
        var command: String
        var result: Result
        var description: String { "\(command): status \(result.status): \(result.output)" }
    }
}
