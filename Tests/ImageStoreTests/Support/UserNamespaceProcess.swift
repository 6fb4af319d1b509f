import CLinux
import Glibc
import LinuxSystem

/// A process in a user namespace of its own, whose ids 0 to 65535 are `first` and up outside.
final class UserNamespaceProcess {
    private let pid: pid_t
    let namespace: SharedDescriptor

    init(first: UInt32) throws {
        guard let program = Command.path(of: "unshare") else {
            throw SystemError("find", path: "unshare", .noSuchFile)
        }
        let arguments = ["unshare", "--user", "sleep", "60"]
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        var child: pid_t = 0
        let failure = posix_spawn(&child, program, nil, nil, &words, environ)
        if failure != 0 { throw SystemError("start", path: program, Errno(rawValue: failure)) }
        pid = child
        let path = "/proc/\(child)/ns/user"
        let own = try File.readLink("/proc/self/ns/user")
        while try File.readLink(path) == own { usleep(1000) }
        for file in ["uid_map", "gid_map"] { try File.put("0 \(first) 65536", into: "/proc/\(child)/\(file)") }
        namespace = SharedDescriptor(try File.open(path, O_RDONLY))
    }

    deinit {
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }
}
