/// One instruction of classic BPF (`struct sock_filter`, linux/filter.h), as seccomp(2) takes them.
struct BPFInstruction: Equatable {
    let code: UInt16
    let whenTrue: UInt8
    let whenFalse: UInt8
    let operand: UInt32

    /// Loads a word of `struct seccomp_data` at this offset.
    static func load(_ offset: UInt32) -> BPFInstruction {
        BPFInstruction(code: 0x20, whenTrue: 0, whenFalse: 0, operand: offset)
    }
    static func returning(_ value: UInt32) -> BPFInstruction {
        BPFInstruction(code: 0x06, whenTrue: 0, whenFalse: 0, operand: value)
    }
    /// Skips this many instructions.
    static func jump(_ distance: Int) -> BPFInstruction {
        BPFInstruction(code: 0x05, whenTrue: 0, whenFalse: 0, operand: UInt32(distance))
    }
    static func ifEqual(_ value: UInt32, then: UInt8, otherwise: UInt8) -> BPFInstruction {
        BPFInstruction(code: 0x15, whenTrue: then, whenFalse: otherwise, operand: value)
    }
    static func ifGreater(_ value: UInt32, then: UInt8, otherwise: UInt8) -> BPFInstruction {
        BPFInstruction(code: 0x25, whenTrue: then, whenFalse: otherwise, operand: value)
    }
    static func ifAtLeast(_ value: UInt32, then: UInt8, otherwise: UInt8) -> BPFInstruction {
        BPFInstruction(code: 0x35, whenTrue: then, whenFalse: otherwise, operand: value)
    }

    static let size = 8
    /// The most instructions that the kernel takes (BPF_MAXINSNS).
    static let mostOfProgram = 4096

    /// In the byte order of this machine.
    var bytes: [UInt8] {
        withUnsafeBytes(of: code) { Array($0) } + [whenTrue, whenFalse] + withUnsafeBytes(of: operand) { Array($0) }
    }
}
