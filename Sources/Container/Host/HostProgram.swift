internal import CLinux
internal import Glibc
public import LinuxSystem

/// Programs of the host that this one runs to their end, such as ps(1) and criu(8).
public enum HostProgram {
    /// What a program left.
    public struct Outcome: Sendable, Equatable {
        /// As a shell gives it: 128 + n after signal n.
        public var exitCode: Int32
        /// What it wrote to standard output.
        public var output: String
        /// What it wrote to standard error.
        public var errors: String
    }

    /// This process's environment, each variable as `NAME=value`.
    public static var environment: [String] {
        var variables: [String] = []
        var entry = environ
        while let text = entry.pointee {
            variables.append(String(cString: text))
            entry += 1
        }
        return variables
    }

    /// Where a program of PATH is; nil when it is nowhere.
    public static func find(_ name: String) -> String? {
        if name.utf8.contains(UInt8(ascii: "/")) { return access(name, X_OK) == 0 ? name : nil }
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let directories = path.split(separator: ":").map(String.init)
        return (directories.isEmpty ? standardDirectories : directories + standardDirectories)
            .map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    // Callers that are daemons often have a PATH without the directories of root's programs.
    private static let standardDirectories = [
        "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
    ]

    /// Runs a program with `/dev/null` as its input and collects what it writes. Descriptors that this process passes on are
    /// passed on to it.
    public static func run(
        _ name: String, _ arguments: [String], environment: [String]
    ) throws(SystemError) -> Outcome {
        guard let path = find(name) else { throw SystemError("run \(name)", .noSuchFile) }
        var ends: [(read: SharedDescriptor, write: SharedDescriptor)] = []
        for _ in 0..<2 {
            let pipe = try DescriptorPair.pipe()
            pipe.split { ends.append((SharedDescriptor($0), SharedDescriptor($1))) }
        }
        let pidfd = try spawn(path, [name] + arguments, environment, ends.map(\.write.rawValue))
        // Only the program holds the ends that are written to from here on.
        let reading = ends.map(\.read)
        ends = []
        let texts = try collect(reading)
        return Outcome(exitCode: try wait(pidfd.rawValue, path), output: texts[0], errors: texts[1])
    }

    /// The last line that says something.
    public static func lastLine(_ text: String) -> String {
        text.split(separator: "\n").last.map(String.init) ?? "it says nothing"
    }

    private static func spawn(
        _ path: String, _ arguments: [String], _ environment: [String], _ outputs: [Int32]
    ) throws(SystemError) -> OwnedDescriptor {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, outputs[0], 1)
        posix_spawn_file_actions_adddup2(&actions, outputs[1], 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // This process may block signals to read them from a descriptor; the program must not inherit that.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        let variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for pointer in words + variables { free(pointer) } }
        var pid: pid_t = 0
        let failure = posix_spawn(&pid, path, &actions, &attributes, words, variables)
        if failure != 0 { throw SystemError("run", path: path, Errno(rawValue: failure)) }
        return OwnedDescriptor(taking: try check(mlr_pidfd_open(pid), "open process \(pid)"))
    }

    private static func collect(_ sources: [SharedDescriptor]) throws(SystemError) -> [String] {
        var contents = [[UInt8]](repeating: [], count: sources.count)
        var isOpen = [Bool](repeating: true, count: sources.count)
        while isOpen.contains(true) {
            var entries = sources.indices.map {
                pollfd(fd: isOpen[$0] ? sources[$0].rawValue : -1, events: Int16(POLLIN), revents: 0)
            }
            try check(retrying { poll(&entries, nfds_t(entries.count), -1) < 0 ? -errno : 0 }, "wait for a program")
            for index in sources.indices where entries[index].revents != 0 {
                var buffer = [UInt8](repeating: 0, count: 65536)
                let got = read(sources[index].rawValue, &buffer, buffer.count)
                if got > 0 { contents[index] += buffer[..<got] }
                if got == 0 || (got < 0 && errno != EINTR) { isOpen[index] = false }
            }
        }
        return contents.map { String(decoding: $0, as: UTF8.self) }
    }

    private static func wait(_ pidfd: Int32, _ path: String) throws(SystemError) -> Int32 {
        var code: Int32 = 0
        var value: Int32 = 0
        try check(mlr_wait_pidfd(pidfd, 0, &code, &value), "wait for", path: path)
        return code == Int32(MLR_CLD_EXITED) ? value : 128 + value
    }
}
