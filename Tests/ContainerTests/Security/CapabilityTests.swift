import Testing

@testable import Container

@Suite("Capabilities")
struct CapabilityTests {
    @Test("there are 41, numbered without a gap, and every name is read back")
    func names() {
        #expect(Capability.allCases.count == 41)
        #expect(Capability.allCases.map(\.rawValue) == Array(0...40))
        for capability in Capability.allCases {
            #expect(Capability(named: capability.name) == capability)
            // A case is the kernel's name in camel case: the table of names and the cases cannot drift apart.
            let words = "\(capability)".flatMap { $0.isUppercase ? "_\($0)" : $0.uppercased() }
            #expect(capability.name == "CAP_" + String(words))
        }
        #expect(Capability.netBindService.name == "CAP_NET_BIND_SERVICE")
        #expect(Capability.sysTtyConfig.name == "CAP_SYS_TTY_CONFIG")
        #expect(Capability.setgid.name == "CAP_SETGID")
        #expect(Capability(named: "net_raw") == .netRaw)
    }

    @Test("Docker's default list is the fourteen that Docker gives")
    func dockerDefault() {
        #expect(CapabilitySet.dockerDefault.capabilities.count == 14)
        #expect(CapabilitySet.dockerDefault.rawValue == 0xA804_25FB)
    }

    @Test("an unknown name is an error that quotes it")
    func unknown() {
        #expect(throws: CapabilityError(name: "CAP_EVERYTHING")) {
            try CapabilitySet(names: ["CAP_CHOWN", "CAP_EVERYTHING"])
        }
        #expect(throws: CapabilityError(name: "")) { try CapabilitySet.none.adjusted(adding: [""], dropping: []) }
    }

    @Test("ALL is dropped before single ones are added")
    func dropAll() throws {
        let set = try CapabilitySet.dockerDefault.adjusted(adding: ["NET_ADMIN", "cap_kill"], dropping: ["all"])
        #expect(set.names == ["CAP_KILL", "CAP_NET_ADMIN"])
        let most = try CapabilitySet.none.adjusted(adding: ["ALL"], dropping: [], last: 37)
        #expect(most.rawValue == (1 << 38) - 1)
        let fewer = try CapabilitySet.dockerDefault.adjusted(adding: [], dropping: ["CAP_MKNOD"])
        #expect(fewer.capabilities.count == 13 && !fewer.contains(.mknod))
    }

    @Test("the kernel tells its last capability")
    func last() throws { #expect(try CapabilitySet.lastOfKernel() >= 37) }
}
