internal import OCISpec

/// The eBPF program that answers "may this cgroup use this device?" by the device rules of a runtime-spec.
///
/// The kernel hands it `struct bpf_cgroup_dev_ctx`: access wanted and kind of node in one word, then major and minor. It
/// returns 1 to allow. Rules are read from the last to the first, since later rules win, and each takes the accesses it
/// decides out of those still open; so a rule about reading says nothing about writing, exactly as cgroup v1 had it.
struct DeviceProgram: Equatable {
    /// `struct bpf_insn`, 8 bytes each, in this machine's byte order.
    let instructions: [Instruction]

    struct Instruction: Equatable {
        let code: UInt8
        let destination: UInt8
        let source: UInt8
        let offset: Int16
        let immediate: Int32

        init(_ code: UInt8, _ destination: UInt8, _ source: UInt8 = 0, offset: Int16 = 0, immediate: Int32 = 0) {
            self.code = code
            self.destination = destination
            self.source = source
            self.offset = offset
            self.immediate = immediate
        }

        var bytes: [UInt8] {
            #if _endian(little)
                let registers = source << 4 | destination
            #else
                let registers = destination << 4 | source
            #endif
            return [code, registers] + withUnsafeBytes(of: offset) { Array($0) }
                + withUnsafeBytes(of: immediate) { Array($0) }
        }
    }

    private enum Code {
        static let load: UInt8 = 0x61  // 32 bits from memory
        static let move: UInt8 = 0xB4  // 32-bit, immediate
        static let moveRegister: UInt8 = 0xBC
        static let and: UInt8 = 0x54
        static let shiftRight: UInt8 = 0x74
        static let jumpIfNotEqual: UInt8 = 0x56  // 32-bit, immediate
        static let jumpIfAnyOf: UInt8 = 0x46  // 32-bit, immediate, taken when a bit of it is set
        static let jump: UInt8 = 0x05
        static let exit: UInt8 = 0x95
    }

    private enum Register {
        static let result: UInt8 = 0
        static let context: UInt8 = 1
        static let kind: UInt8 = 2
        static let open: UInt8 = 3
        static let major: UInt8 = 4
        static let minor: UInt8 = 5
    }

    /// - Throws: ``CgroupError`` of kind `value` for a rule that cannot be meant.
    init(_ rules: [RuntimeSpec.Resources.DeviceRule]) throws(CgroupError) {
        var program: [Instruction] = [
            Instruction(Code.load, Register.kind, Register.context, offset: 0),
            Instruction(Code.moveRegister, Register.open, Register.kind),
            Instruction(Code.and, Register.kind, immediate: 0xFFFF),
            Instruction(Code.shiftRight, Register.open, immediate: 16),
            Instruction(Code.load, Register.major, Register.context, offset: 4),
            Instruction(Code.load, Register.minor, Register.context, offset: 8),
        ]
        for (index, rule) in rules.enumerated().reversed() {
            program += try Self.block(rule, field: "devices[\(index)]")
        }
        // Nothing said of the rest: as in a new cgroup of version 1 below an unlimited one, it is allowed. Specifications
        // begin with a rule that denies everything.
        program += Self.returning(1)
        instructions = program
    }

    var bytes: [UInt8] { instructions.flatMap(\.bytes) }

    private static func returning(_ value: Int32) -> [Instruction] {
        [Instruction(Code.move, Register.result, immediate: value), Instruction(Code.exit, 0)]
    }

    private static func block(
        _ rule: RuntimeSpec.Resources.DeviceRule, field: String
    ) throws(CgroupError) -> [Instruction] {
        let access = try accessBits(rule.access, field: field)
        if access == 0 { return [] }

        var body: [Instruction]
        if rule.allow {
            body = [
                Instruction(Code.and, Register.open, immediate: ~access),
                // Something is still open: on to the next rule.
                Instruction(Code.jumpIfNotEqual, Register.open, offset: 2, immediate: 0),
            ]
            body += returning(1)
        } else {
            body = [
                Instruction(Code.jumpIfAnyOf, Register.open, offset: 1, immediate: access),
                Instruction(Code.jump, 0, offset: 2),
            ]
            body += returning(0)
        }
        var checks: [(register: UInt8, value: Int32)] = []
        switch rule.type {
        case nil, "a": break
        case "b": checks.append((Register.kind, 1))
        case "c", "u": checks.append((Register.kind, 2))
        case let type?:
            throw CgroupError(
                .value(field: field), "\(field).type is \"\(type)\", which is no kind of device",
                remedy: "use a, b or c")
        }
        if rule.type != nil, rule.type != "a" {
            if let major = try number(rule.major, "\(field).major") { checks.append((Register.major, major)) }
            if let minor = try number(rule.minor, "\(field).minor") { checks.append((Register.minor, minor)) }
        } else if rule.major != nil || rule.minor != nil {
            throw CgroupError(
                .value(field: field), "\(field) names a device number without a kind of device",
                remedy: "set type to b or c")
        }
        for check in checks.reversed() {
            let distance = Int16(body.count)
            body.insert(
                Instruction(Code.jumpIfNotEqual, check.register, offset: distance, immediate: check.value), at: 0)
        }
        return body
    }

    private static func accessBits(_ access: String?, field: String) throws(CgroupError) -> Int32 {
        guard let access, !access.isEmpty else { return 0b111 }
        var bits: Int32 = 0
        for character in access {
            switch character {
            case "m": bits |= 1
            case "r": bits |= 2
            case "w": bits |= 4
            default:
                throw CgroupError(
                    .value(field: field), "\(field).access \"\(access)\" has \"\(character)\" in it",
                    remedy: "use letters of rwm")
            }
        }
        return bits
    }

    private static func number(_ value: Int64?, _ field: String) throws(CgroupError) -> Int32? {
        guard let value, value >= 0 else { return nil }
        guard let number = UInt32(exactly: value) else {
            throw CgroupError(.value(field: field), "\(field) is \(value), beyond 32 bits")
        }
        return Int32(bitPattern: number)
    }
}
