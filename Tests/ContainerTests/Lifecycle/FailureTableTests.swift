import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// What callers of OCI runtimes make of an error's text, by the expressions of their sources.
private enum Matcher {
    /// containerd: how a failed `kill` is taken for "it has ended" or "there is none" (pkg/process, checkKillError).
    static func containerdHasEnded(_ text: String) -> Bool {
        let lower = text.lowercased()
        return ["os: process already finished", "container not running", "no such process"].contains {
            lower.contains($0)
        }
    }
    static func containerdIsMissing(_ text: String) -> Bool { text.contains("does not exist") }
    /// CRI-O: a container that is gone (runtime_oci.go), with its case.
    static func crioIsGone(_ text: String) -> Bool {
        ["no such process", "container not running", "invalid process"].contains { text.contains($0) }
    }
    /// podman: libpod's getOCIRuntimeError, in its order; the code it exits with, nil for its general one.
    static func podmanCode(_ text: String) -> Int32? {
        let lower = text.lowercased()
        if ["permission denied", "operation not permitted"].contains(where: { lower.contains($0) }) { return 126 }
        if ["executable file not found in", "no such file or directory", "open executable"]
            .contains(where: { lower.contains($0) })
        {
            return 127
        }
        return nil
    }
    /// dockerd: the code of a failed start (daemon/start.go, setExitCodeFromError), for the program it asked for.
    static func dockerdCode(_ text: String, program: String) -> Int32? {
        let lower = text.lowercased()
        if lower.contains(program),
            lower.contains("executable file not found") || lower.contains("no such file or directory")
        {
            return 127
        }
        return lower.contains("permission denied") ? 126 : nil
    }
}

@Suite struct FailureTableTests {
    private struct Case: Sendable {
        let error: ContainerError
        var kind: FailureTable.Kind
        var code: Int32 = 1
        var hasEnded = false
        var isMissing = false
        var podman: Int32?
    }

    private static let noFile = SystemError("open", path: "/x", .noSuchFile)
    private static let cases = [
        Case(error: .invalidID("a/b"), kind: .invalidID),
        Case(error: .exists("a"), kind: .exists),
        Case(error: .missing("a"), kind: .missing, isMissing: true),
        Case(error: .notRunning("a"), kind: .notRunning, hasEnded: true),
        Case(error: .wrongState("a", verb: "pause", status: .paused), kind: .wrongState),
        Case(error: .damaged("a", reason: "x: No such file or directory"), kind: .damaged),
        Case(error: .noCgroup("a", verb: "pause"), kind: .noCgroup),
        Case(error: .configuration("root.path: is missing"), kind: .configuration),
        Case(error: .option("--format is wrong"), kind: .option),
        Case(error: .criu(verb: "restore", reason: "Error: No such file or directory"), kind: .criu),
        Case(error: .launch(.programNotFound("sh")), kind: .programNotFound, code: 127, podman: 127),
        Case(error: .launch(.programNotFound("/bin/sh")), kind: .programNotFound, code: 127, podman: 127),
        Case(
            error: .launch(.programNotExecutable("sh", .noSuchFile)), kind: .interpreterNotFound, code: 127, podman: 127
        ),
        Case(
            error: .launch(.programNotExecutable("sh", .accessDenied)), kind: .programNotExecutable, code: 126,
            podman: 126
        ),
        Case(error: .launch(.system(noFile)), kind: .launch),
        Case(error: .launch(.step(.directory("/x"), .noSuchFile, detail: "")), kind: .launch),
        Case(error: .launch(.hook("prestart hook /x cannot be run: no such file or directory")), kind: .launch),
        Case(error: .cgroup(CgroupError(noFile)), kind: .cgroup),
        Case(error: .system(noFile), kind: .system),
    ]

    @Test(
        "callers take each failure for what it is, and only a missing program for a missing program",
        arguments: cases.indices)
    func matchers(_ index: Int) {
        let expected = Self.cases[index]
        let text = expected.error.description
        #expect(FailureTable.row(expected.error).kind == expected.kind)
        #expect(expected.error.exitCode == expected.code)
        #expect(Matcher.containerdHasEnded(text) == expected.hasEnded, "\(text)")
        #expect(Matcher.crioIsGone(text) == expected.hasEnded, "\(text)")
        #expect(Matcher.containerdIsMissing(text) == expected.isMissing, "\(text)")
        #expect(Matcher.podmanCode(text) == expected.podman, "\(text)")
        if expected.podman != nil { #expect(Matcher.dockerdCode(text, program: "sh") == expected.podman, "\(text)") }
        #expect(!text.contains("{") && !text.contains("}"), "a value is missing: \(text)")
    }

    @Test("every kind of failure has one row, and is told apart by these tests")
    func complete() {
        #expect(FailureTable.rows.map(\.kind) == FailureTable.Kind.allCases)
        #expect(Set(Self.cases.map(\.kind)) == Set(FailureTable.Kind.allCases))
    }

    @Test("exec keeps its own failures apart from the codes of programs")
    func exec() {
        #expect(FailureTable.outcome(ContainerError.missing("a"), ofExec: true).exitCode == 255)
        #expect(FailureTable.outcome(ContainerError.missing("a")).exitCode == 1)
        #expect(FailureTable.outcome(LaunchError.programNotFound("x"), ofExec: true).exitCode == 127)
        #expect(FailureTable.outcome(Self.noFile, ofExec: true).exitCode == 255)
        #expect(FailureTable.outcome(Self.noFile).text == "cannot open /x: it is not there")
    }
}
