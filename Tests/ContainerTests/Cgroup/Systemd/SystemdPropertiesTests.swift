import OCISpec
import Testing

@testable import Container

@Suite("What systemd is told of a container")
struct SystemdPropertiesTests {
    typealias Resources = RuntimeSpec.Resources

    private func properties(_ resources: Resources, version: Int = 252) throws -> [String: DBusValue] {
        let settings = try CgroupLimits.settings(for: resources, killsWholeGroup: false, current: { _ in nil })
        let list = try SystemdProperties.limits(settings, version: version)
        return Dictionary(list.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
    }

    @Test("limits by their names and units")
    func limits() throws {
        let all = try properties(
            .init(
                memory: .init(limit: 100, reservation: 50, swap: 150),
                cpu: .init(shares: 1024, quota: 33_333, period: 100_000, cpus: "0-2,9", mems: "0"),
                pids: .init(limit: -1),
                blockIO: .init(
                    weight: 10, throttleReadBpsDevice: [.init(major: 8, minor: 0, rate: 7)],
                    throttleWriteIOPSDevice: [.init(major: 8, minor: 0, rate: 9)]),
                unified: ["memory.high": "1M"]))
        #expect(all["MemoryMax"] == .uint64(100))
        #expect(all["MemoryLow"] == .uint64(50))
        #expect(all["MemorySwapMax"] == .uint64(50))
        #expect(all["MemoryHigh"] == .uint64(1 << 20))
        #expect(all["CPUWeight"] == .uint64(100))
        #expect(all["CPUQuotaPerSecUSec"] == .uint64(340_000))
        #expect(all["CPUQuotaPeriodUSec"] == .uint64(100_000))
        #expect(all["AllowedCPUs"] == .array(of: "y", [.byte(7), .byte(2)]))
        #expect(all["AllowedMemoryNodes"] == .array(of: "y", [.byte(1)]))
        #expect(all["TasksMax"] == .uint64(.max))
        #expect(all["IOWeight"] == .uint64(1))
        #expect(
            all["IOReadBandwidthMax"]
                == .array(of: "(st)", [.structure([.string("/dev/block/8:0"), .uint64(7)])]))
        #expect(all["IOWriteIOPSMax"] == .array(of: "(st)", [.structure([.string("/dev/block/8:0"), .uint64(9)])]))
        let none = try properties(.init(cpu: .init(quota: -1)))
        #expect(none["CPUQuotaPerSecUSec"] == .uint64(.max))
        #expect(
            try properties(.init(cpu: .init(period: 50_000, cpus: "0")), version: 240).keys.sorted() == [
                "CPUQuotaPerSecUSec"
            ])
        #expect(throws: DBusFailure.self) { try properties(.init(unified: ["memory.max": "much"])) }
    }

    @Test("device rules as a list of what is allowed, and no list where there can be none")
    func devices() throws {
        let deny = Resources.DeviceRule(allow: false, access: "rwm")
        let nvidia = Resources.DeviceRule(allow: true, type: "c", major: 195, minor: 0, access: "rw")
        let drivers = "Character devices:\n  1 mem\n136 pts\n195 nvidia\n\nBlock devices:\n  8 sd\n"
        let strict = try SystemdProperties.devices([deny, nvidia], drivers: drivers)
        #expect(strict.map(\.name) == ["DevicePolicy", "DeviceAllow", "DeviceAllow"])
        #expect(strict[0].value == .string("strict"))
        guard case .array(_, let entries) = strict[2].value else { throw DBusError("no list") }
        func entry(_ node: String, _ access: String) -> DBusValue { .structure([.string(node), .string(access)]) }
        #expect(entries.first == entry("/dev/char/195:0", "rw"))
        for expected in [
            entry("char-*", "m"), entry("block-*", "m"), entry("/dev/char/1:3", "rwm"), entry("char-pts", "rwm"),
        ] { #expect(entries.contains(expected), "\(expected)") }
        func policy(_ rules: [Resources.DeviceRule]) throws -> DBusValue? {
            try SystemdProperties.devices(rules, drivers: drivers).first?.value
        }
        #expect(try policy([.init(allow: true)]) == .string("auto"))
        #expect(
            try policy([deny, .init(allow: true, type: "c"), .init(allow: false, type: "c", major: 9)])
                == .string("auto"))
        #expect(try policy([deny, .init(allow: true, type: "b", major: 77)]) == .string("auto"))
        #expect(try policy([deny, .init(allow: true, type: "b", major: 8)]) == .string("strict"))
        #expect(try SystemdProperties.devices([], drivers: drivers).isEmpty)
    }

    @Test(
        "annotations are read strictly",
        arguments: [
            ("TimeoutStopUSec", "uint64 5", DBusValue.uint64(5)), ("CollectMode", "'inactive'", .string("inactive")),
            ("After", "['a.service', \"b.service\"]", .strings(["a.service", "b.service"])),
            ("DefaultDependencies", " true ", .bool(true)), ("Description", "'it\\'s'", .string("it's")),
        ])
    func annotation(name: String, text: String, value: DBusValue) throws {
        let properties = try SystemdAnnotations.properties(["org.systemd.property.\(name)": text, "other": "x"])
        #expect(properties.map(\.name) == [name])
        #expect(properties.map(\.value) == [value])
    }

    @Test(
        "annotations that are unsafe or malformed are refused by name",
        arguments: [
            ("OnFailure", "['x.service']"), ("ExecStart", "'x'"), ("TimeoutStopUSec", "5"), ("CollectMode", "inactive"),
            ("After", "[]"), ("After", "['a'"), ("DefaultDependencies", "true false"), ("Description", "'a\nb'"),
            ("TimeoutStopUSec", "uint64 99999999999999999999"), ("KillMode", ""),
        ])
    func refusedAnnotation(name: String, text: String) {
        let key = "org.systemd.property.\(name)"
        let error = #expect(throws: CgroupError.self) { _ = try SystemdAnnotations.properties([key: text]) }
        #expect(error?.cause.contains(key) == true)
    }

    @Test("slice:prefix:name becomes a unit and its place")
    func paths() throws {
        func unit(_ path: String?, isOfUser: Bool = false) throws -> [String] {
            let unit = try CgroupPath.Unit(.init(id: "id", cgroupsPath: path), isOfUser: isOfUser)
            return [unit.slice, unit.name]
        }
        #expect(try unit("machine.slice:libpod:abc") == ["machine.slice", "libpod-abc.scope"])
        #expect(try unit("::abc") == ["system.slice", "abc.scope"])
        #expect(try unit(":p:abc", isOfUser: true) == ["user.slice", "p-abc.scope"])
        #expect(try unit(nil) == ["system.slice", "mlrun-oci-id.scope"])
        #expect(try unit("-.slice:p:a.slice") == ["-.slice", "a.slice"])
        for bad in [
            "/a/b", "a:b", "a.slice:b:", "..:b:c", "a/b.slice:c:d", "a.slice:b:c/d", "a..slice:b:c d", "a--b.slice:c:d",
        ] {
            let error = #expect(throws: CgroupError.self, "\(bad)") { _ = try unit(bad) }
            #expect(error?.kind == .path)
        }
        #expect(CgroupPath.Unit.expand("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice")
        #expect(CgroupPath.Unit.expand("-.slice") == "")
        #expect(CgroupPath.Unit.expand("a-.slice") == nil)
    }

    @Test("paths of the cgroup file system")
    func directories() throws {
        func path(_ path: String?, own: String? = "/user.slice/session.scope", root: Bool = true) throws -> [String] {
            try CgroupPath.components(.init(id: "id", cgroupsPath: path), own: own, isPrivileged: root)
        }
        #expect(try path("/a/b") == ["a", "b"])
        #expect(try path("a/b") == ["a", "b"])
        #expect(try path(nil) == ["mlrun-oci", "id"])
        #expect(try path(nil, root: false) == ["user.slice", "mlrun-oci-id"])
        #expect(try path("x/y", root: false) == ["user.slice", "x", "y"])
        #expect(try path("/x", root: false) == ["x"])
        for bad in ["/a/../b", "..", "/", "/a/cgroup.procs", "/a\0b", "/a\nb"] {
            #expect(throws: CgroupError.self, "\(bad)") { _ = try path(bad) }
        }
    }

    @Test("a host without groups runs what asks for none, and names the limit that it cannot set")
    func noGroups() throws {
        let host = HostCgroups(layout: .none, unifiedMount: nil, ownGroup: nil)
        func create(_ resources: Resources, _ change: (inout ContainerCgroup.Request) -> Void = { _ in }) throws
            -> [String]
        {
            var request = ContainerCgroup.Request(id: "id", resources: resources)
            change(&request)
            let (group, warnings) = try ContainerCgroup.create(request, on: host)
            #expect(group.isNone)
            try group.kill()
            try group.remove()
            #expect(try group.processes().isEmpty)
            return warnings
        }
        #expect(try create(.init()).count == 1)
        #expect(try create(.init(pids: .init(limit: -1))).count == 1)
        #expect(try create(.init(devices: [.init(allow: false)])) { $0.inUserNamespace = true }.count == 1)
        #expect(try create(.init()) { $0.manager = .disabled }.isEmpty)
        let denied = Resources(devices: [.init(allow: false), .init(allow: true, type: "c")])
        #expect(try create(denied) { $0.manager = .disabled }.count == 1)
        #expect(try create(.init(devices: [.init(allow: true)])) { $0.manager = .disabled }.isEmpty)
        for (resources, field) in [
            (Resources(memory: .init(limit: 1 << 20)), "memory.limit"),
            (Resources(devices: [.init(allow: false)]), "devices"),
            (Resources(network: .init(classID: 5)), "network.classID"),
        ] {
            let error = #expect(throws: CgroupError.self) { _ = try create(resources) }
            guard case .limit(let found, _)? = error?.kind else {
                Issue.record("\(error as Any)")
                continue
            }
            #expect(found == "linux.resources.\(field)")
            #expect(error?.description.hasPrefix("linux.resources.\(field): ") == true)
        }
        if SystemdManager.isRootOfHost {
            let named = #expect(throws: CgroupError.self) { _ = try create(.init()) { $0.cgroupsPath = "/a" } }
            #expect(named?.description.contains("linux.cgroupsPath: ") == true, "\(named as Any)")
            #expect(named?.remedy?.contains("--cgroup-manager=disabled") == true)
        }
        #expect(try create(.init()) { ($0.cgroupsPath, $0.manager) = ("/a", .disabled) }.isEmpty)
        let disabled = #expect(throws: CgroupError.self) {
            _ = try create(.init(pids: .init(limit: 5))) { $0.manager = .disabled }
        }
        #expect(disabled?.cause.contains("--cgroup-manager=disabled") == true)
    }
}
