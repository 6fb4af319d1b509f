import Container
import Glibc
import OCISpec
import Testing

@testable import mlrun_oci

@Suite struct CommandLineTests {
    private static let rules = [
        OptionRule("bundle", short: "b", value: "DIR", ""), OptionRule("force", short: "f", ""),
        OptionRule("cgroup-manager", value: "NAME", ""),
    ]

    private func options(_ words: String...) throws -> [String: [String]] {
        var parser = CommandLineParser(Self.rules, words[...])
        return try parser.options()
    }

    @Test("options are taken as Go's flag packages take them")
    func spellings() throws {
        for words in [
            ["--bundle", "/b"], ["--bundle=/b"], ["-bundle", "/b"], ["-bundle=/b"], ["-b", "/b"], ["-b=/b"], ["-b/b"],
        ] {
            var parser = CommandLineParser(Self.rules, words[...])
            #expect(try parser.options() == ["bundle": ["/b"]], "\(words)")
        }
        #expect(try options("-cgroup-manager=disabled") == ["cgroup-manager": ["disabled"]])
        #expect(try options("--force=false")["force"] == ["false"])
        #expect(try options("--force=1")["force"] == ["true"])
        #expect(try options("-f", "--", "--bundle") == ["force": ["true"]])
        #expect(try options("x", "--bundle") == [:])
    }

    @Test("what is no option, has no value, or is no position of a switch is refused")
    func refusals() {
        #expect(throws: UsageError.self) { try options("--bundel", "x") }
        #expect(throws: UsageError.self) { try options("--bundle") }
        #expect(throws: UsageError.self) { try options("--force=maybe") }
        #expect(throws: UsageError.self) { try options("-x") }
    }

    @Test("every option of runc's callers is there, under each verb")
    func contract() {
        let wanted: [String: [String]] = [
            "create": [
                "bundle", "pid-file", "console-socket", "pidfd-socket", "no-pivot", "no-new-keyring", "preserve-fds",
                "device",
            ],
            "run": [
                "bundle", "pid-file", "console-socket", "detach", "keep", "no-subreaper", "preserve-fds",
                "pidfd-socket", "no-pivot", "no-new-keyring", "device",
            ],
            "exec": [
                "process", "console-socket", "detach", "pid-file", "preserve-fds", "pidfd-socket", "env", "tty", "user",
                "additional-gids", "cap", "apparmor", "process-label", "no-new-privs", "cgroup", "ignore-paused", "cwd",
            ],
            "kill": ["all"], "delete": ["force"], "list": ["format", "quiet"], "ps": ["format"],
            "update": [
                "resources", "blkio-weight", "cpu-period", "cpu-quota", "cpu-burst", "cpu-rt-period", "cpu-rt-runtime",
                "cpu-share", "cpuset-cpus", "cpuset-mems", "kernel-memory", "kernel-memory-tcp", "memory",
                "memory-reservation", "memory-swap", "pids-limit", "l3-cache-schema", "mem-bw-schema", "cpu-idle",
            ],
            "events": ["interval", "stats"],
            "spec": ["bundle", "rootless"], "features": [], "state": [], "start": [], "pause": [], "resume": [],
            "checkpoint": [
                "image-path", "work-path", "parent-path", "tcp-established", "ext-unix-sk", "shell-job", "page-server",
                "file-locks", "manage-cgroups-mode", "empty-ns", "lazy-pages", "status-fd", "leave-running", "pre-dump",
                "auto-dedup", "tcp-skip-in-flight", "link-remap",
            ],
            "restore": [
                "detach", "pid-file", "console-socket", "no-pivot", "bundle", "image-path", "work-path",
                "tcp-established", "tcp-close", "file-locks", "lsm-profile", "lsm-mount-context", "ext-unix-sk",
                "shell-job", "manage-cgroups-mode", "empty-ns", "lazy-pages", "auto-dedup", "no-subreaper",
            ],
        ]
        for (name, options) in wanted {
            let verb = OCIVerbs.all.first { $0.name == name }
            #expect(verb != nil, "\(name)")
            let known = Set(verb?.options.map(\.name) ?? [])
            #expect(Set(options).subtracting(known).isEmpty, "\(name) lacks \(Set(options).subtracting(known))")
        }
        #expect(
            Set([
                "root", "log", "log-format", "debug", "systemd-cgroup", "rootless", "cgroup-manager", "version", "help",
            ])
            .isSubset(of: OCIGlobals.rules.map(\.name)))
    }

    @Test("options of create become what a container is made with")
    func creation() throws {
        var invocation = Invocation(options: ["device": ["acme.com/gpu=0", "acme.com/gpu=1"], "no-pivot": ["true"]])
        var options = try OCIVerbs.createOptions(invocation)
        #expect(options.devices == ["acme.com/gpu=0", "acme.com/gpu=1"])
        #expect(!options.pivots && options.makesKeyring && !options.needsCgroup)
        invocation = Invocation(globals: ["rootless": "F"], options: ["no-pivot": ["false"]])
        options = try OCIVerbs.createOptions(invocation)
        #expect(options.devices.isEmpty && options.pivots && options.needsCgroup)
    }

    @Test("annotations may ask for devices unless an option or the environment says otherwise")
    func annotations() throws {
        let name = "MLRUN_CDI_ANNOTATIONS"
        unsetenv(name)
        defer { unsetenv(name) }
        func heeds(_ globals: [String: String]) throws -> Bool {
            try OCIVerbs.createOptions(Invocation(globals: globals)).heedsAnnotations
        }
        #expect(try heeds([:]) && heeds(["cdi-annotations": "true"]))
        #expect(try !heeds(["cdi-annotations": "false"]))
        setenv(name, "0", 1)
        #expect(try !heeds([:]) && !heeds(["cdi-annotations": "true"]))
        setenv(name, "1", 1)
        #expect(try heeds([:]) && !heeds(["cdi-annotations": "false"]))
        setenv(name, "off", 1)
        let error = #expect(throws: UsageError.self) { try heeds([:]) }
        #expect(error?.description.contains(name) == true)
    }

    @Test("restore takes no device, and refuses a root that is not pivoted")
    func restoration() throws {
        #expect(!OCIVerbs.restoring.contains { $0.name == "device" })
        let error = #expect(throws: UsageError.self) {
            try OCIVerbs.restore(Invocation(options: ["no-pivot": ["true"]], arguments: ["none"]))
        }
        #expect(error?.description.contains("--no-pivot") == true)
    }

    @Test(
        "--rootless takes Go's truth values, and auto or nothing for what is to be found out",
        arguments: [
            ("true", true), ("1", true), ("T", true), ("false", false), ("0", false), ("FALSE", false), ("auto", nil),
            ("AUTO", nil), ("", nil),
        ] as [(String, Bool?)])
    func rootless(_ text: String, _ expected: Bool?) throws {
        #expect(try OCIGlobals.isRootless(["rootless": text]) == expected)
    }

    @Test("--rootless takes nothing else", arguments: ["yes", "no", "tRuE", " true", "2"])
    func notRootless(_ text: String) {
        #expect(throws: UsageError.self) { try OCIGlobals.check(["rootless": text]) }
    }

    @Test("state is kept below XDG_RUNTIME_DIR for those who say that they have no rights")
    func stateDirectory() throws {
        let before = OCIVerbs.variable("XDG_RUNTIME_DIR")
        defer { if let before { setenv("XDG_RUNTIME_DIR", before, 1) } else { unsetenv("XDG_RUNTIME_DIR") } }
        setenv("XDG_RUNTIME_DIR", "/run/user/1000", 1)
        #expect(OCIGlobals.containers(["rootless": "true"]).root == "/run/user/1000/mlrun-oci")
        #expect(OCIGlobals.containers(["rootless": "false"]).root == "/run/mlrun-oci")
        #expect(OCIGlobals.containers(["rootless": "true", "root": "/state"]).root == "/state")
        unsetenv("XDG_RUNTIME_DIR")
        #expect(OCIGlobals.containers(["rootless": "true"]).root == "/run/mlrun-oci")
    }

    @Test("no option is named twice, and no short letter stands for two")
    func unambiguous() {
        for verb in OCIVerbs.all {
            let names = verb.options.map(\.name)
            #expect(Set(names).count == names.count, "\(verb.name)")
            let letters = verb.options.compactMap(\.short)
            #expect(Set(letters).count == letters.count, "\(verb.name)")
        }
    }

    @Test(
        "ids are 32 bits without sign and all digits",
        arguments: ["", "-1", "+1", "10x", "4294967295", "4294967296", "0x1", " 1"])
    func wrongIDs(_ text: String) {
        #expect(throws: UsageError.self) { try OCIVerbs.user(text, .init()) }
        #expect(throws: UsageError.self) { try OCIVerbs.user("0:\(text)", .init()) }
    }

    @Test("a user keeps the group and groups of the container unless others are given")
    func users() throws {
        let before = RuntimeSpec.User(uid: 1, gid: 2, umask: 0o27, additionalGids: [7])
        #expect(try OCIVerbs.user("5", before) == RuntimeSpec.User(uid: 5, gid: 2, umask: 0o27, additionalGids: [7]))
        #expect(try OCIVerbs.user("5:6", before).gid == 6)
        #expect(throws: UsageError.self) { try OCIVerbs.user("5:6:7", before) }
    }

    @Test("times and sizes are read with their units, and nonsense is refused")
    func values() throws {
        #expect(try OCIVerbs.nanoseconds("5s") == 5_000_000_000)
        #expect(try OCIVerbs.nanoseconds("1m30s") == 90_000_000_000)
        #expect(try OCIVerbs.nanoseconds("250ms") == 250_000_000)
        #expect(try OCIVerbs.nanoseconds("1.5s") == 1_500_000_000)
        #expect(try OCIVerbs.nanoseconds("1h0m0.25s") == 3_600_250_000_000)
        #expect(try OCIVerbs.nanoseconds("1.5µs") == 1_500 && OCIVerbs.nanoseconds("1.5μs") == 1_500)
        #expect(try OCIVerbs.nanoseconds("0.999999999999999999999h") == 3_599_999_999_999)
        #expect(try OCIVerbs.nanoseconds(".5s") == 500_000_000 && OCIVerbs.nanoseconds("2.s") == 2_000_000_000)
        for text in ["", "5", "s", "-5s", "5x", "99999999999h", "2562048h", ".s", ".", "1.5", "1..5s", "1.5.5s"] {
            #expect(throws: UsageError.self, "\(text)") { try OCIVerbs.nanoseconds(text) }
        }
        #expect(try OCIVerbs.bytes("512M") == 512 << 20)
        #expect(try OCIVerbs.bytes("-1") == -1)
        #expect(try OCIVerbs.bytes("1048576") == 1 << 20)
        for text in ["", "M", "1.5G", "-2", "9999999999T"] {
            #expect(throws: UsageError.self, "\(text)") { try OCIVerbs.bytes(text) }
        }
    }

    @Test("ps shows the rows of the container's processes only, wherever the PID column is")
    func psRows() throws {
        let table = "UID PID CMD\nroot 12 init\nroot 120 sh\nroot 7 other 12\n"
        #expect(try OCIVerbs.rows(table, of: [12, 120]) == ["UID PID CMD", "root 12 init", "root 120 sh"])
        #expect(throws: ContainerError.self) { try OCIVerbs.rows("CMD\nx\n", of: [1]) }
    }

    @Test("the configuration that spec writes passes the specification's rules, with and without root")
    func template() {
        #expect(SpecTemplate.spec.problems().isEmpty, "\(SpecTemplate.spec.problems())")
        let rootless = SpecTemplate.rootless(SpecTemplate.spec, uid: 1000, gid: 1000)
        #expect(rootless.problems().isEmpty, "\(rootless.problems())")
        #expect(rootless.linux?.namespaces.contains { $0.kind == .user } == true)
    }
}
