internal import CLinux
internal import Glibc
internal import LinuxSystem

/// Programs that the supervisor starts beside containers: in a session of their own, with no descriptor but those given.
enum ChildProgram {
    /// POSIX_SPAWN_SETSID of glibc's spawn.h, which Swift's view of it lacks.
    private static let newSession: Int16 = 0x80

    /// posix_spawn(3). `descriptors` become 0, 1, 2, 3, … in order.
    ///
    /// - Returns: the process, and its pidfd.
    static func start(
        _ path: String, _ arguments: [String], environment: [String] = [], descriptors: [Int32]
    ) throws(SystemError) -> (identity: ProcessIdentity, pidfd: SharedDescriptor) {
        // dup2(2) onto itself would keep close-on-exec, and onto a later source would lose that one: take copies that
        // are out of the way.
        var copies: [SharedDescriptor] = []
        for descriptor in descriptors {
            copies.append(
                SharedDescriptor(
                    taking: try check(
                        mlr_dup_cloexec(descriptor, Int32(descriptors.count) + 3), "duplicate a descriptor")))
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, copy) in copies.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, copy.rawValue, Int32(number))
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // This process blocks the signals that it reads from a descriptor; the program must not inherit that.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | newSession)
        let words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        let variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
        defer { for pointer in words + variables { free(pointer) } }
        var pid: pid_t = 0
        let failure = posix_spawn(&pid, path, &actions, &attributes, words, variables)
        withExtendedLifetime(copies) {}
        if failure != 0 { throw SystemError("start", path: path, Errno(rawValue: failure)) }
        let pidfd = SharedDescriptor(taking: try check(mlr_pidfd_open(pid), "open process \(pid)"))
        return (ProcessIdentity(pid: pid, startTime: ProcessTable.startTime(of: pid) ?? 0), pidfd)
    }

    /// This process's environment, each variable as `NAME=value`.
    static var environment: [String] {
        var variables: [String] = []
        var entry = environ
        while let text = entry.pointee {
            variables.append(String(cString: text))
            entry += 1
        }
        return variables
    }
}
