import OCISpec
import Testing

/// Single values of a configuration, in the places where the specification or the kernel rules them out, and where not.
@Suite("Values of the runtime specification")
struct RuntimeSpecValueTests {
    /// What is objected to in the complete configuration after a change of its text.
    private func objections(_ old: String, _ new: String) throws -> [JSONError] {
        let text = RuntimeSpecTests.complete.replacing(old, with: new)
        try #require(text != RuntimeSpecTests.complete, "\(old) is not there")
        do throws(JSONError) {
            return try RuntimeSpec(JSONCursor(try JSON(parsing: text))).problems()
        } catch { return [error] }
    }

    @Test(
        "a value that would be cut to size, passed over or taken for another is refused in its place",
        arguments: [
            (#""nice":5"#, #""nice":20"#, "process.scheduler.nice"),
            (#""policy":"SCHED_BATCH","nice":5"#, #""policy":"SCHED_OTHER","nice":-21"#, "process.scheduler.nice"),
            (#""nice":5"#, #""nice":5,"runtime":1"#, "process.scheduler.runtime"),
            (#""nice":5"#, #""deadline":1"#, "process.scheduler.deadline"),
            (#""nice":5"#, #""period":1"#, "process.scheduler.period"),
            (#""nice":5"#, #""priority":1"#, "process.scheduler.priority"),
            (#""class":"IOPRIO_CLASS_BE","priority":4"#, #""class":"IOPRIO_CLASS_BE""#, "process.ioPriority.priority"),
            (#"{"hcaHandles":1}"#, "{}", "linux.resources.rdma.mlx5"),
            (
                #""weight":100"#, #""weightDevice":[{"major":8,"minor":0}]"#, "linux.resources.blockIO.weightDevice[0]"
            ),
            (#""allow":false"#, #""allow":false,"major":-7"#, "linux.resources.devices[0].major"),
            (#""allow":false"#, #""allow":false,"minor":-2"#, "linux.resources.devices[0].minor"),
            (#""annotations":{"a":"b"}"#, #""annotations":{"":"b"}"#, "annotations"),
            (#"{"type":"time"}"#, #"{"type":"time","path":"/proc/1/ns/time"}"#, "linux.timeOffsets"),
            ("net.ipv4.ip_forward", "kernel.domainname", "linux.sysctl.kernel.domainname"),
            (#""width":80"#, #""width":70000"#, "process.consoleSize.width"),
            (#","width":80"#, "", "process.consoleSize.width"),
        ])
    func refused(_ old: String, _ new: String, _ place: String) throws {
        #expect(try objections(old, new).map(\.path) == [place])
    }

    @Test(
        "what callers write for nothing, or for all, is taken",
        arguments: [
            (#""nice":5"#, #""nice":-20,"priority":0,"runtime":0,"deadline":0,"period":0"#),
            (#""policy":"SCHED_BATCH","nice":5"#, #""policy":"SCHED_DEADLINE","runtime":1,"deadline":2,"period":2"#),
            (#""allow":false"#, #""allow":false,"major":-1,"minor":-1"#),
            (#""weight":100"#, #""weightDevice":[{"major":8,"minor":0,"leafWeight":0}]"#),
            (#""sysctl":{"net.ipv4.ip_forward":"1"}"#, #""sysctl":{"kernel.domainname":"d"}"#),
            (#""rootfsPropagation":"rslave""#, #""rootfsPropagation":"""#),
            (#""mountLabel":"m""#, #""mountLabel":"""#),
            (#""terminal":true,"consoleSize":{"height":24,"width":80}"#, #""consoleSize":{"height":70000,"width":80}"#),
            (#""terminal":true,"consoleSize":{"height":24,"width":80}"#, #""consoleSize":{"height":24}"#),
            (#""terminal":true,"consoleSize":{"height":24,"width":80}"#, #""terminal":false,"consoleSize":7"#),
            (#""destination":"/data""#, #""destination":"../a/./../b""#),
            (#""annotations":{"a":"b"}"#, #""annotations":{"a":"b\u0000c"}"#),
        ])
    func taken(_ old: String, _ new: String) throws { #expect(try objections(old, new) == []) }

    @Test(
        "no text that goes to the kernel has a NUL in it",
        arguments: [
            (#""source":"/srv""#, #""source":"/srv\u0000x""#, "mounts[0].source"),
            (#""destination":"/data""#, #""destination":"/data\u0000x""#, "mounts[0].destination"),
            (#""path":"rootfs""#, #""path":"rootfs\u0000""#, "root.path"),
            (#""cwd":"/srv""#, #""cwd":"/\u0000srv""#, "process.cwd"),
            (#""hostname":"h""#, #""hostname":"h\u0000""#, "hostname"),
            (#""domainname":"d""#, #""domainname":"\u0000d""#, "domainname"),
            (#""maskedPaths":["/proc/kcore"]"#, #""maskedPaths":["/proc/\u0000kcore"]"#, "linux.maskedPaths[0]"),
            (#""readonlyPaths":["/proc/sys"]"#, #""readonlyPaths":["/proc/sys\u0000"]"#, "linux.readonlyPaths[0]"),
            (#""net.ipv4.ip_forward":"1""#, #""net.ipv4.ip_forward":"1\u0000""#, "linux.sysctl.net.ipv4.ip_forward"),
            (#""net.ipv4.ip_forward":"1""#, #""net.ipv4\u0000.ip_forward":"1""#, "linux.sysctl"),
            ("/proc/1/ns/net", #"/proc/1\u0000/ns/net"#, "linux.namespaces[1].path"),
            (#""path":"/bin/true""#, #""path":"/bin/true\u0000x""#, "hooks.createRuntime[0].path"),
            (#""path":"/dev/fuse""#, #""path":"/dev/\u0000fuse""#, "linux.devices[0].path"),
            (#""apparmorProfile":"p""#, #""apparmorProfile":"p\u0000""#, "process.apparmorProfile"),
            (#""memory.high":"1""#, #""memory.high":"1\u0000""#, "linux.resources.unified.memory.high"),
        ])
    func texts(_ old: String, _ new: String, _ place: String) throws {
        let found = try objections(old, new)
        #expect(found.map(\.path) == [place] && found.first?.message.contains("NUL") == true, "\(found)")
    }

    @Test(
        "versions are those of semver.org, and all of the first major version are taken",
        arguments: [
            ("1.0.0", nil), ("1.0.2-dev", nil), ("1.0.0-rc5", nil), ("1.1.0+dev", nil),
            ("1.2.0-rc.1+b-7", nil), ("1.4.0", nil), ("1.10.0", nil), ("0.9.0", "not supported"),
            ("2.0.0", "not supported"), ("10.0.0", "not supported"), ("1.x.y", "no version"), ("1.0.foo", "no version"),
            ("1.3.0 ", "no version"), ("1.3", "no version"), ("1.3.0.0", "no version"), ("1.03.0", "no version"),
            ("1.3.0-", "no version"), ("1.3.0-a..b", "no version"), ("1.3.0+é", "no version"), ("v1.3.0", "no version"),
            ("", "no version"), ("1.3.+1", "no version"),
        ] as [(String, String?)])
    func versions(_ version: String, _ said: String?) throws {
        let found = try objections(#""ociVersion":"1.3.0""#, "\"ociVersion\":\"\(version)\"")
        #expect(found.map(\.path) == (said == nil ? [] : ["ociVersion"]))
        #expect(said.map { found.first?.message.contains($0) == true } ?? true, "\(found)")
    }

    @Test("a configuration without linux has no namespace of its own")
    func withoutLinux() throws {
        let text = #"{"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"cwd":"/","args":["true"]}}"#
        let spec = try RuntimeSpec(JSONCursor(try JSON(parsing: text)))
        #expect(spec.problems() == [] && spec.linux == RuntimeSpec.Linux())
    }

    @Test("the size of a terminal is kept where it is one, and left out where it is none and no terminal takes it")
    func consoleSize() throws {
        func size(_ members: String) throws -> RuntimeSpec.ConsoleSize? {
            let json = try JSON(parsing: #"{"cwd":"/","args":["true"],\#(members)}"#)
            return try RuntimeSpec.Process(JSONCursor(json)).consoleSize
        }
        #expect(try size(#""consoleSize":{"height":24,"width":80}"#) == .init(height: 24, width: 80))
        #expect(try size(#""consoleSize":{"height":70000,"width":80}"#) == nil)
    }
}
