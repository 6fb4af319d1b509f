internal import CLibseccomp

/// The names of the runtime-spec (config-linux.md, "Seccomp") and what they are to the kernel and to libseccomp.
enum SeccompNames {
    static let notify = "SCMP_ACT_NOTIFY"

    static let actions = [
        "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO",
        "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY",
    ]

    /// An action as a return value of the program. `data` is errnoRet, by default EPERM.
    static func action(_ name: String, data: UInt32?, field: String) throws(SeccompError) -> UInt32 {
        let value: UInt32
        switch name {
        case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": value = 0
        case "SCMP_ACT_KILL_PROCESS": value = 0x8000_0000
        case "SCMP_ACT_TRAP": value = 0x0003_0000
        case "SCMP_ACT_ERRNO": value = 0x0005_0000
        case "SCMP_ACT_TRACE": value = 0x7FF0_0000
        case "SCMP_ACT_ALLOW": value = 0x7FFF_0000
        case "SCMP_ACT_LOG": value = 0x7FFC_0000
        case "SCMP_ACT_NOTIFY": value = 0x7FC0_0000
        default:
            throw SeccompError(
                field: field, reason: "unknown action \"\(name)\"; use one of \(actions.joined(separator: ", "))")
        }
        let errnoField = errnoName(of: field)
        guard name == "SCMP_ACT_ERRNO" || name == "SCMP_ACT_TRACE" else {
            if data != nil {
                throw SeccompError(field: errnoField, reason: "means nothing with the action \(name)")
            }
            return value
        }
        // The kernel keeps 16 bits, and turns errors above 4095 into 4095.
        let highest: UInt32 = name == "SCMP_ACT_ERRNO" ? 4095 : 65535
        let number = data ?? 1
        guard number <= highest else {
            throw SeccompError(field: errnoField, reason: "\(number) is above \(highest)")
        }
        return value | number
    }

    private static func errnoName(of field: String) -> String {
        field == "defaultAction" ? "defaultErrnoRet" : String(field.dropLast("action".count)) + "errnoRet"
    }

    static let operators: [String: scmp_compare] = [
        "SCMP_CMP_NE": SCMP_CMP_NE, "SCMP_CMP_LT": SCMP_CMP_LT, "SCMP_CMP_LE": SCMP_CMP_LE,
        "SCMP_CMP_EQ": SCMP_CMP_EQ, "SCMP_CMP_GE": SCMP_CMP_GE, "SCMP_CMP_GT": SCMP_CMP_GT,
        "SCMP_CMP_MASKED_EQ": SCMP_CMP_MASKED_EQ,
    ]

    /// Names of architectures and what libseccomp calls them.
    static let architectures: [String: String] = [
        "SCMP_ARCH_X86": "x86", "SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_X32": "x32", "SCMP_ARCH_ARM": "arm",
        "SCMP_ARCH_AARCH64": "aarch64", "SCMP_ARCH_MIPS": "mips", "SCMP_ARCH_MIPS64": "mips64",
        "SCMP_ARCH_MIPS64N32": "mips64n32", "SCMP_ARCH_MIPSEL": "mipsel", "SCMP_ARCH_MIPSEL64": "mipsel64",
        "SCMP_ARCH_MIPSEL64N32": "mipsel64n32", "SCMP_ARCH_PPC": "ppc", "SCMP_ARCH_PPC64": "ppc64",
        "SCMP_ARCH_PPC64LE": "ppc64le", "SCMP_ARCH_S390": "s390", "SCMP_ARCH_S390X": "s390x",
        "SCMP_ARCH_PARISC": "parisc", "SCMP_ARCH_PARISC64": "parisc64", "SCMP_ARCH_RISCV64": "riscv64",
        "SCMP_ARCH_LOONGARCH64": "loongarch64", "SCMP_ARCH_M68K": "m68k", "SCMP_ARCH_SH": "sh",
        "SCMP_ARCH_SHEB": "sheb",
    ]

    /// Flags of seccomp(2); `linux.seccomp.flags` are their names.
    static let flags: [(name: String, bit: UInt32)] = [
        ("SECCOMP_FILTER_FLAG_TSYNC", 1 << 0), ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
        ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", 1 << 2), ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1 << 5),
    ]

    static func flags(_ names: [String]) throws(SeccompError) -> UInt32 {
        var value: UInt32 = 0
        for (index, name) in names.enumerated() {
            guard let flag = flags.first(where: { $0.name == name }) else {
                let known = flags.map(\.name).joined(separator: ", ")
                throw SeccompError(field: "flags[\(index)]", reason: "unknown flag \"\(name)\"; use one of \(known)")
            }
            value |= flag.bit
        }
        return value
    }
}
