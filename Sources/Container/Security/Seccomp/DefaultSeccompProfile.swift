public import OCISpec

/// The filter of a container that asks for none: Docker's policy, plus the calls by which a process places its own memory
/// on NUMA nodes, which model servers need and which reach nobody else.
///
/// It is a list of what is allowed. Everything else fails with EPERM; what is newer than the list fails with ENOSYS, see
/// ``NewSystemCalls``.
public enum DefaultSeccompProfile {
    /// The profile for a process with this bounding set: calls that a capability guards are allowed with it.
    /// - Parameter architecture: the machine's, as uname(2) calls it.
    public static func make(
        capabilities: CapabilitySet, architecture: String = HostFacts.architecture
    ) -> RuntimeSpec.Seccomp {
        let names = Architecture(machine: architecture)
        var rules: [RuntimeSpec.Seccomp.Rule] = []
        func allow(_ calls: [String], where arguments: [RuntimeSpec.Seccomp.Argument] = []) {
            rules.append(.init(names: calls, action: "SCMP_ACT_ALLOW", args: arguments))
        }

        allow(SeccompGroups.always.flatMap(\.calls))
        for group in SeccompGroups.byArchitecture where group.machines.contains(names.family) { allow(group.calls) }
        for group in SeccompGroups.byCapability where capabilities.contains(group.capability) { allow(group.calls) }
        for family in SeccompGroups.socketFamilies {
            allow(["socket"], where: [.init(index: 0, value: family.value, op: family.op)])
        }
        for persona in SeccompGroups.personalities {
            allow(["personality"], where: [.init(index: 0, value: persona, op: "SCMP_CMP_EQ")])
        }
        if !capabilities.contains(.sysAdmin) {
            // Threads and children, but no namespaces: these are where kernel bugs become escapes. On s390 the flags are
            // the second argument.
            let place: UInt32 = names.family == "s390x" ? 1 : 0
            allow(
                ["clone"],
                where: [
                    .init(
                        index: place, value: SeccompGroups.namespaceFlags, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ")
                ])
            // clone3 keeps its flags in memory where no filter sees them; after ENOSYS the C library takes clone.
            rules.append(.init(names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: 38))
        }
        return RuntimeSpec.Seccomp(
            defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 1, architectures: names.tokens, syscalls: rules)
    }

    /// A machine, and which others its kernel runs programs of.
    private struct Architecture {
        let family: String
        let tokens: [String]

        init(machine: String) {
            switch machine {
            case "x86_64", "i686", "i586", "i386":
                family = "x86_64"
                tokens = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
            case "aarch64", "armv7l", "armv8l":
                family = "aarch64"
                tokens = ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
            case "s390x":
                family = "s390x"
                tokens = ["SCMP_ARCH_S390X", "SCMP_ARCH_S390"]
            case "riscv64":
                family = "riscv64"
                tokens = ["SCMP_ARCH_RISCV64"]
            case "ppc64le":
                family = "ppc64le"
                tokens = ["SCMP_ARCH_PPC64LE"]
            default:
                // The native architecture is always part of a filter.
                family = machine
                tokens = []
            }
        }
    }
}
