import CLinux
import Glibc
import LinuxSystem
import Testing

@testable import Container

/// Runs each test twice: with containers that begin with a copy of the host's mounts, and with a copy of prepared ones.
struct BothNamespaces: SuiteTrait, TestTrait, TestScoping {
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await function()
        guard testCase != nil else { return }
        let place = TestPreparedMounts()
        try await LaunchFixture.$preparedMounts.withValue(place.mounts) { try await function() }
    }
}

extension Trait where Self == BothNamespaces {
    static var bothNamespaces: BothNamespaces { BothNamespaces() }
}

/// Prepared mounts in a directory that goes with the value, worthwhile on any host.
final class TestPreparedMounts: Sendable {
    /// Linux 6.18 tells which of two namespaces is older by numbers that each processor gives out for itself, and knows for
    /// certain of its first one only.
    static var areKept: Bool {
        let version = HostFacts.kernelRelease().split(separator: ".").prefix(2).compactMap { Int($0) }
        if version.lexicographicallyPrecedes([6, 18]) { return true }
        return (try? File.status("/proc/self/ns/mnt"))?.inode == 0xEFFF_FFF8
    }

    let mounts: PreparedMounts
    var directory: String { mounts.directory }
    var file: String { "\(directory)/null" }

    init() {
        var mounts = PreparedMounts(directory: "/var/tmp/mlrun-mounts-\(File.randomName())")
        mounts.worthwhile = 1
        self.mounts = mounts
    }

    deinit {
        while mlr_umount(file, Int32(MLR_MNT_DETACH)) == 0 {}
        while mlr_umount(directory, Int32(MLR_MNT_DETACH)) == 0 {}
        try? File.removeTree(directory)
    }
}
