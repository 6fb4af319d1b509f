import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// A container's groups, with shells in the place of a container. Everything is gone when its life ends.
final class GroupUnderTest {
    let host: HostCgroups
    let group: ContainerCgroup
    let warnings: [String]
    private var children: [Int32] = []

    init(
        _ resources: RuntimeSpec.Resources = .init(), on host: HostCgroups? = nil,
        _ change: (inout ContainerCgroup.Request) -> Void = { _ in }
    ) throws {
        self.host = try host ?? HostCgroups.discover()
        let name = "t\(File.randomName())"
        var request = ContainerCgroup.Request(
            id: name, cgroupsPath: "/mlrun-test/\(name)", resources: resources)
        change(&request)
        (group, warnings) = try ContainerCgroup.create(request, on: self.host)
    }

    deinit {
        for child in children { _ = Glibc.kill(child, SIGKILL) }
        try? group.kill()
        for child in children { _ = waitpid(child, nil, 0) }
        try? group.remove()
    }

    /// Runs a shell script whose first process is in the groups before it does anything.
    @discardableResult
    func run(_ script: String) throws -> Int32 {
        var child: pid_t = 0
        // A shell that waits by itself: in a group for one process it could not start another to wait with.
        var gate: [Int32] = [-1, -1]
        try check(mlr_pipe(&gate, 0), "create a pipe")
        let waiting = OwnedDescriptor(taking: gate[0])
        let opening = OwnedDescriptor(taking: gate[1])
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, waiting.rawValue, 0)
        let command = "read go\nexec </dev/null >/dev/null 2>&1\n\(script)"
        var arguments: [UnsafeMutablePointer<CChar>?] = []
        for argument in ["/bin/sh", "-c", command] { arguments.append(strdup(argument)) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        try #require(posix_spawn(&child, "/bin/sh", &actions, nil, &arguments, environ) == 0)
        children.append(child)
        try group.unified?.add(process: child)
        try group.admit(child)
        try File.writeAll([UInt8(ascii: "\n")], to: opening.rawValue)
        return child
    }

    /// The status of the child's end, as wait(2) has it.
    func status(of child: Int32) -> Int32 {
        var status: Int32 = 0
        _ = waitpid(child, &status, 0)
        children.removeAll { $0 == child }
        return status
    }

    func succeeds(_ script: String) throws -> Bool { status(of: try run(script)) == 0 }

    /// Waits for something that another process brings about.
    func wait(_ what: String, until isTrue: () throws -> Bool) throws {
        let deadline = Self.deadline(seconds: 30)
        while try !isTrue() {
            try #require(mlr_monotonic_nanoseconds() < deadline, "it did not come about: \(what)")
            usleep(5000)
        }
    }

    func wait(forProcesses count: Int) throws {
        try wait("\(count) processes") { try group.processes().count >= count }
    }

    func update(_ resources: RuntimeSpec.Resources) throws(CgroupError) {
        _ = try group.update(resources, on: host)
    }

    static func deadline(seconds: UInt64 = 20) -> UInt64 { mlr_monotonic_nanoseconds() + seconds * 1_000_000_000 }

    /// What of the environment says where the tests run.
    static func isSet(_ name: String) -> Bool { getenv(name) != nil }
}
