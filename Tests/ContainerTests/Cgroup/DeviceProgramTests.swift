import OCISpec
import Testing

@testable import Container

@Suite("The device filter's program")
struct DeviceProgramTests {
    typealias Rule = RuntimeSpec.Resources.DeviceRule

    /// Runs the program as the kernel would; nil if it leaves the program or never ends.
    private func run(_ program: DeviceProgram, type: UInt32, access: UInt32, major: UInt32, minor: UInt32) -> UInt32? {
        var registers = [UInt32](repeating: 0xDEAD_BEEF, count: 11)
        var position = 0
        for _ in 0..<10_000 {
            guard program.instructions.indices.contains(position) else { return nil }
            let step = program.instructions[position]
            let destination = Int(step.destination)
            let immediate = UInt32(bitPattern: step.immediate)
            position += 1
            switch step.code {
            case 0x61:
                guard step.source == 1, let value = [0: access << 16 | type, 4: major, 8: minor][step.offset] else {
                    return nil
                }
                registers[destination] = value
            case 0xB4: registers[destination] = immediate
            case 0xBC: registers[destination] = registers[Int(step.source)]
            case 0x54: registers[destination] &= immediate
            case 0x74: registers[destination] >>= immediate
            case 0x05: position += Int(step.offset)
            case 0x56: if registers[destination] != immediate { position += Int(step.offset) }
            case 0x46: if registers[destination] & immediate != 0 { position += Int(step.offset) }
            case 0x95: return registers[0]
            default: return nil
            }
        }
        return nil
    }

    /// What the rules mean, said plainly: for each access the last rule that matches.
    private func meaning(_ rules: [Rule], type: UInt32, access: UInt32, major: UInt32, minor: UInt32) -> UInt32 {
        for (bit, letter) in [(UInt32(1), "m"), (2, "r"), (4, "w")] where access & bit != 0 {
            let last = rules.last { rule in
                let any = rule.type == nil || rule.type == "a"
                return (any || rule.type == (type == 1 ? "b" : "c"))
                    && (rule.major == nil || rule.major == Int64(major))
                    && (rule.minor == nil || rule.minor == Int64(minor))
                    && (rule.access ?? "rwm").contains(letter)
            }
            if last?.allow == false { return 0 }
        }
        return 1
    }

    @Test("what no rule speaks of is denied, unless the first speaks of all")
    func unnamed() {
        let kmsg = Rule(allow: true, type: "c", major: 1, minor: 11, access: "rwm")
        let all = Rule(allow: false, access: "rwm")
        #expect(DeviceRules.complete([kmsg]).starts(with: [all, kmsg]))
        for first in [all, Rule(allow: true), Rule(allow: true, type: "a", access: "mrw")] {
            #expect(DeviceRules.complete([first, kmsg]).starts(with: [first, kmsg]))
        }
        #expect(DeviceRules.complete([Rule(allow: true, type: "c", access: "rwm")]).first == all)
    }

    @Test("every combination of rules decides every access as the rules say")
    func exhaustive() throws {
        let pool = [
            Rule(allow: false), Rule(allow: false, type: "c", access: "w"), Rule(allow: true, type: "c", access: "m"),
            Rule(allow: true, type: "c", major: 1, minor: 3, access: "rwm"), Rule(allow: true, type: "b", major: 8),
            Rule(allow: false, type: "b", major: 8, minor: 1, access: "wm"), Rule(allow: true, type: "a", access: "r"),
        ]
        var checked = 0
        for first in pool {
            for second in pool {
                for third in pool {
                    let rules = [first, second, third]
                    let program = try DeviceProgram(rules)
                    for type in [UInt32(1), 2] {
                        for (major, minor) in [(UInt32(1), UInt32(3)), (1, 5), (8, 1), (8, 2), (195, 0)] {
                            for access in UInt32(1)...7 {
                                let expected = meaning(rules, type: type, access: access, major: major, minor: minor)
                                let got = run(program, type: type, access: access, major: major, minor: minor)
                                if got != expected {
                                    Issue.record("\(rules) on \(type) \(major):\(minor) \(access): \(got as Any)")
                                }
                                checked += 1
                            }
                        }
                    }
                }
            }
        }
        #expect(checked == 343 * 70)
    }

    @Test("numbers up to 32 bits are compared whole")
    func wide() throws {
        let program = try DeviceProgram([Rule(allow: false), Rule(allow: true, type: "c", major: 4_294_967_295)])
        #expect(run(program, type: 2, access: 2, major: .max, minor: 0) == 1)
        #expect(run(program, type: 2, access: 2, major: .max - 1, minor: 0) == 0)
    }

    @Test("instructions are eight bytes as the kernel lays them out")
    func layout() throws {
        let bytes = try DeviceProgram([]).bytes
        #expect(bytes.count == 8 * 8)
        #expect(Array(bytes[0..<8]) == [0x61, 0x12, 0, 0, 0, 0, 0, 0])
        #expect(Array(bytes[16..<24]) == [0x54, 0x02, 0, 0, 0xFF, 0xFF, 0, 0])
    }

    @Test(
        "rules that cannot be meant are refused with their place",
        arguments: [
            Rule(allow: true, type: "x"), Rule(allow: true, type: "c", access: "rx"),
            Rule(allow: true, type: "c", major: 4_294_967_296), Rule(allow: true, major: 1),
        ])
    func refused(rule: Rule) {
        let error = #expect(throws: CgroupError.self) { try DeviceProgram([Rule(allow: false), rule]) }
        #expect(error?.cause.hasPrefix("devices[1]") == true)
    }
}
