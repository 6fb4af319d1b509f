import CLinux
import Glibc
import LinuxSystem

/// What this machine and this run offer to tests; conditions for those that need it.
enum TestMachine {
    static let programs = variable("MLRUN_TEST_PROGRAMS")
    static let modelImage = variable("MLRUN_TEST_MODEL_IMAGE")

    /// Whether this is the guest that scripts/guest starts, which has a cgroup v2 hierarchy of its own.
    static let isGuest = variable("MLRUN_TEST_GUEST") == "1"
    static let isRoot = geteuid() == 0

    static let canRun =
        isRoot && ["mlrun", "mlrund", "mlrun-gateway", "mlrun-oci", "mlrun-init"].allSatisfy { has(program: $0) }
        && isInstalled("busybox", "tar", "sha256sum")
    static let needs: String =
        "needs root, Debian's busybox-static, and MLRUN_TEST_PROGRAMS: a directory with what scripts/build makes"

    /// Tests of everything but limits run natively, where the kernel is the one that users have.
    static let isNative = canRun && !isGuest

    static let unifiedCgroups: String? = {
        guard let text = try? File.readText("/proc/self/mountinfo") else { return nil }
        return text.split(separator: "\n").last { $0.contains(" - cgroup2 ") }
            .flatMap { line in line.split(separator: " ").dropFirst(4).first.map(String.init) }
    }()

    /// The controllers of the cgroup v2 hierarchy.
    static let controllers: Set<String> = {
        guard let mount = unifiedCgroups, let text = try? File.readText("\(mount)/cgroup.controllers") else {
            return []
        }
        return Set(text.split(whereSeparator: \.isWhitespace).map(String.init))
    }()

    static func isInstalled(_ names: String...) -> Bool { names.allSatisfy { path(of: $0) != nil } }

    /// Where a program of the system is; nil when it is not installed.
    static func path(of name: String) -> String? {
        if name.hasPrefix("/") { return access(name, X_OK) == 0 ? name : nil }
        return ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"].map { "\($0)/\(name)" }
            .first { access($0, X_OK) == 0 }
    }

    private static func has(program: String) -> Bool {
        programs.map { access("\($0)/\(program)", X_OK) == 0 } ?? false
    }

    static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Milliseconds of a clock that only goes forward.
    static var milliseconds: Int64 { Int64(mlr_monotonic_nanoseconds() / 1_000_000) }

    static func pause(milliseconds: Int) { usleep(UInt32(milliseconds) * 1000) }

    /// Asks until the answer is yes; false when it was no for so long.
    static func eventually(within seconds: Int = 20, _ condition: () throws -> Bool) rethrows -> Bool {
        let deadline = milliseconds + Int64(seconds) * 1000
        while true {
            if try condition() { return true }
            if milliseconds > deadline { return false }
            pause(milliseconds: 20)
        }
    }
}

/// Why a test could not go on.
struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
