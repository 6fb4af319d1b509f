import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

@Suite("Devices of the Container Device Interface")
struct CDIRegistryTests {
    /// Two directories with files; the second is looked at later.
    private struct Directories: ~Copyable {
        let path = "/tmp/mlrun-cdi-\(File.randomName())"
        var all: [String] { ["\(path)/etc", "\(path)/run", "\(path)/missing"] }

        init(_ files: [String: String]) throws {
            for directory in all.prefix(2) { try File.makeDirectories(directory) }
            for (name, text) in files {
                try File.replace("\(path)/\(name)", with: Array(text.utf8), durable: false)
            }
        }

        deinit { try? File.removeTree(path) }

        var registry: CDIRegistry { CDIRegistry(directories: all) }
    }

    private static func file(_ edits: String, name: String = "x", common: String = "{}", kind: String = "v.com/c")
        -> String
    {
        #"{"cdiVersion":"1.1.0","kind":"\#(kind)","devices":[{"name":"\#(name)","containerEdits":\#(edits)}],"containerEdits":\#(common)}"#
    }

    private func spec() -> RuntimeSpec {
        RuntimeSpec(
            root: .init(path: "rootfs"),
            mounts: [.init(destination: "/proc", type: "proc"), .init(destination: "/a/b/c", type: "tmpfs")],
            process: .init(user: .init(uid: 7), args: ["sh"], env: ["PATH=/bin", "A=old"]),
            linux: .init(resources: .init(devices: [.init(allow: false, access: "rwm")])))
    }

    private func name(_ text: String) throws -> CDIName { try #require(CDIName(text)) }

    @Test("edits change all that they may, common ones once")
    func edits() throws {
        let device = #"""
            {"env":["A=new","B=1"],"deviceNodes":[{"path":"/dev/n","hostPath":"/dev/null","permissions":"rw"},
            {"path":"/dev/k","type":"c","major":9,"minor":8,"uid":5,"permissions":"none"}],
            "mounts":[{"hostPath":"/etc/passwd","containerPath":"/a/p","options":["ro"]}],
            "hooks":[{"hookName":"createContainer","path":"/bin/sh","args":["sh"],"timeout":3}],
            "additionalGids":[44,0,44],"intelRdt":{"closID":"c"},"netDevices":[{"hostInterfaceName":"e0","name":"n0"}]}
            """#
        let common = #"{"env":["COMMON=1"],"hooks":[{"hookName":"poststop","path":"/bin/sh"}]}"#
        let directories = try Directories(["etc/a.json": Self.file(device, common: common)])
        var edited = spec()
        try directories.registry.inject([try name("v.com/c=x"), try name("v.com/c=x")], into: &edited)
        #expect(edited.process?.env == ["PATH=/bin", "A=new", "COMMON=1", "B=1"])
        #expect(edited.process?.user.additionalGids == [44])
        let linux = try #require(edited.linux)
        #expect(linux.devices.map(\.path) == ["/dev/n", "/dev/k"])
        #expect(linux.devices[0] == .init(type: "c", path: "/dev/n", major: 1, minor: 3, uid: 7))
        #expect(linux.devices[1] == .init(type: "c", path: "/dev/k", major: 9, minor: 8, uid: 5))
        #expect(
            linux.resources?.devices == [
                .init(allow: false, access: "rwm"), .init(allow: true, type: "c", major: 1, minor: 3, access: "rw"),
            ])
        #expect(linux.intelRdt?.closID == "c")
        #expect(linux.netDevices == ["e0": .init(name: "n0")])
        #expect(edited.mounts.map(\.destination) == ["/proc", "/a/p", "/a/b/c"])
        #expect(
            edited.mounts[1]
                == .init(destination: "/a/p", type: "bind", source: "/etc/passwd", options: ["ro", "bind"]))
        #expect(edited.hooks?.createContainer == [.init(path: "/bin/sh", args: ["sh"], timeout: 3)])
        #expect(edited.hooks?.poststop.count == 1)
        let once = edited
        try directories.registry.inject([try name("v.com/c=x")], into: &edited)
        #expect(edited.hooks == once.hooks && edited.mounts == once.mounts && edited.process == once.process)
    }

    @Test("a later directory hides an earlier one, and two files of one directory are in conflict")
    func priorities() throws {
        let directories = try Directories([
            "etc/a.json": Self.file(#"{"env":["FROM=etc"]}"#), "run/a.json": Self.file(#"{"env":["FROM=run"]}"#),
            "etc/b.json": Self.file(#"{"env":["X=1"]}"#, name: "twice"),
            "etc/c.yaml": "cdiVersion: 0.5.0\nkind: v.com/c\ndevices:\n- name: twice\n  containerEdits: {env: [X=2]}\n",
        ])
        let registry = directories.registry
        var edited = spec()
        try registry.inject([try name("v.com/c=x")], into: &edited)
        #expect(edited.process?.env.last == "FROM=run")
        let before = edited
        let error = #expect(throws: CDIError.self) {
            try registry.inject([try name("v.com/c=x"), try name("v.com/c=twice")], into: &edited)
        }
        #expect(error?.cause.contains("etc/b.json") == true && error?.cause.contains("etc/c.yaml") == true)
        #expect(edited == before)
        #expect(registry.names.map(\.description) == ["v.com/c=twice", "v.com/c=x"])
    }

    @Test("a device that is not there is told with what is, or with what is broken")
    func unknown() throws {
        let directories = try Directories(["etc/a.json": Self.file(#"{"env":["A=b"]}"#)])
        var edited = spec()
        func failure(_ device: String) throws -> CDIError? {
            let device = try name(device)
            return #expect(throws: CDIError.self) { try directories.registry.inject([device], into: &edited) }
        }
        #expect(try failure("v.com/c=y")?.remedy == "known are v.com/c=x")
        #expect(try failure("nvidia.com/gpu=all")?.remedy?.contains("nvidia-ctk cdi generate") == true)
        try File.replace(
            "\(directories.path)/run/bad.yaml", with: Array("kind: a/b\ncdiVersion: 0.5.0\nx: 1\n".utf8), durable: false
        )
        let error = try failure("v.com/c=y")
        #expect(error?.cause.contains("run/bad.yaml: x: is not known") == true, "\(error as Any)")
        try directories.registry.inject([try name("v.com/c=x")], into: &edited)
    }

    @Test(
        "a file that tells of what the host has not is out of date",
        arguments: [
            #"{"deviceNodes":[{"path":"/dev/nvidia9999"}]}"#,
            #"{"mounts":[{"hostPath":"/lib/libcuda.so.1.2.3.4","containerPath":"/x"}]}"#,
            #"{"hooks":[{"hookName":"createContainer","path":"/usr/bin/no-such-hook"}]}"#,
        ])
    func stale(edits: String) throws {
        let directories = try Directories(["etc/nvidia.json": Self.file(edits)])
        var edited = spec()
        let device = try name("v.com/c=x")
        let error = #expect(throws: CDIError.self) { try directories.registry.inject([device], into: &edited) }
        #expect(error?.cause.contains("etc/nvidia.json is out of date") == true, "\(error as Any)")
        #expect(error?.remedy?.contains("nvidia-ctk cdi generate --output=\(directories.path)/etc/nvidia.json") == true)
        #expect(edited == spec())
    }

    @Test("nodes that are none, or of another kind, are refused")
    func kinds() throws {
        for (edits, what) in [
            (#"{"deviceNodes":[{"path":"/dev/x","hostPath":"/etc/passwd"}]}"#, "no device node"),
            (#"{"deviceNodes":[{"path":"/dev/x","hostPath":"/dev/null","type":"b"}]}"#, "of type b"),
        ] {
            let directories = try Directories(["etc/a.json": Self.file(edits)])
            var edited = spec()
            let device = try name("v.com/c=x")
            let error = #expect(throws: CDIError.self) { try directories.registry.inject([device], into: &edited) }
            #expect(error?.cause.contains(what) == true, "\(error as Any)")
        }
    }

    @Test("annotations ask for devices")
    func annotations() throws {
        let names = try CDIRegistry.names(in: [
            "cdi.k8s.io/b": "v.com/c=y", "cdi.k8s.io/a": "v.com/c=x,v.com/c=z", "other": "no",
        ])
        #expect(names.map(\.device) == ["x", "z", "y"])
        for bad in ["", "x", "v.com/c=x,", "v.com/c=x, v.com/c=y"] {
            #expect(throws: CDIError.self) { try CDIRegistry.names(in: ["cdi.k8s.io/a": bad]) }
        }
    }
}
