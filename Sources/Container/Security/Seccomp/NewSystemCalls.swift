internal import CLibseccomp
internal import Glibc

/// What libseccomp cannot say about system calls newer than itself, as instructions in front of its program.
///
/// Two things go wrong without it. A call that the profile allows is refused, since libseccomp does not know its name.
/// And a call that is newer than the profile is answered with the default action's EPERM, while the C library falls
/// back to an older call on ENOSYS only: programs break on new kernels.
struct NewSystemCalls {
    struct Rule {
        let names: [String]
        let action: UInt32
        let conditional: Bool
    }

    let rules: [Rule]
    let defaultAction: UInt32
    /// libseccomp's tokens, besides the native one.
    let architectures: [UInt32]

    private static let noSystemCall: UInt32 = 0x0005_0000 | UInt32(ENOSYS)
    /// x32 shares its architecture's number with x86_64 and sets this bit in the number of the call.
    private static let x32Bit: UInt32 = 0x4000_0000

    func prepended(to program: [UInt8]) throws(SeccompError) -> [UInt8] {
        var tokens = [seccomp_arch_native()]
        for token in architectures where !tokens.contains(token) && token != Self.token("x32") { tokens.append(token) }

        var blocks: [[BPFInstruction]] = []
        for token in tokens {
            let block = self.block(token)
            if !block.isEmpty { blocks.append(block) }
        }
        var prologue: [BPFInstruction] = []
        // From the last to the first, since a block's way out passes over all that follow.
        for block in blocks.reversed() {
            var block = block
            block[block.count - 1] = .jump(prologue.count)
            prologue = block + prologue
        }
        if !prologue.isEmpty { prologue.insert(.load(4), at: 0) }
        let count = prologue.count + program.count / BPFInstruction.size
        guard count <= BPFInstruction.mostOfProgram else {
            throw SeccompError(
                field: "syscalls", reason: "the filter has \(count) instructions, and the kernel takes 4096 at most")
        }
        return prologue.flatMap(\.bytes) + program
    }

    /// The instructions for one architecture, entered with its number loaded. The last one is a place for the way out.
    private func block(_ token: UInt32) -> [BPFInstruction] {
        let offset = Self.offset(token)
        var special: [(number: UInt32, action: UInt32)] = []
        var newest = offset + SystemCallTable.firstUnified
        for rule in rules {
            for name in rule.names {
                let resolved = seccomp_syscall_resolve_name_arch(token, name)
                if resolved >= 0 {
                    newest = max(newest, UInt32(resolved))
                } else if resolved == -1, let unified = SystemCallTable.unified[name] {
                    let number = offset + unified
                    newest = max(newest, number)
                    let isNew = !special.contains { $0.number == number }
                    if isNew, !rule.conditional, rule.action != defaultAction { special.append((number, rule.action)) }
                }
            }
        }
        let refuses = Self.refuses(defaultAction)
        if special.isEmpty, !refuses { return [] }

        var checks: [BPFInstruction] = []
        for (number, action) in special.sorted(by: { $0.number < $1.number }) {
            checks += [.ifEqual(number, then: 0, otherwise: 1), .returning(action)]
        }
        if refuses { checks += [.ifGreater(newest, then: 0, otherwise: 1), .returning(Self.noSystemCall)] }

        // Old calls, which are nearly all, leave at once.
        let lowest = special.map(\.number).min() ?? newest
        var body: [BPFInstruction] = [.load(0)]
        if token == Self.token("x86_64") {
            body.append(.ifAtLeast(Self.x32Bit, then: UInt8(checks.count + 1), otherwise: 0))
        }
        body.append(.ifAtLeast(lowest, then: 0, otherwise: UInt8(checks.count)))
        body += checks
        body.append(.jump(0))
        return [.ifEqual(token, then: 1, otherwise: 0), .jump(body.count)] + body
    }

    /// Whether the default action is a refusal that a program could mistake for a verdict about a call it may do without.
    private static func refuses(_ action: UInt32) -> Bool {
        switch action & 0xFFFF_0000 {
        case 0x0005_0000: action != noSystemCall
        case 0, 0x8000_0000, 0x0003_0000: true
        default: false
        }
    }

    private static func token(_ name: String) -> UInt32 { seccomp_arch_resolve_name(name) }

    private static func offset(_ token: UInt32) -> UInt32 {
        switch token {
        case Self.token("mips"), Self.token("mipsel"): 4000
        case Self.token("mips64"), Self.token("mipsel64"): 5000
        case Self.token("mips64n32"), Self.token("mipsel64n32"): 6000
        default: 0
        }
    }
}
