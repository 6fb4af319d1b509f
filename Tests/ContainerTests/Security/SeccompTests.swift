import CLibseccomp
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

/// Runs a filter as the kernel does, on `struct seccomp_data`.
private func run(_ program: [UInt8], _ call: Int, _ arguments: [UInt64] = [], architecture: UInt32? = nil) -> UInt32? {
    var data: [UInt8] = []
    withUnsafeBytes(of: UInt32(truncatingIfNeeded: call)) { data += $0 }
    withUnsafeBytes(of: architecture ?? seccomp_arch_native()) { data += $0 }
    data += [UInt8](repeating: 0, count: 8)
    for place in 0..<6 { withUnsafeBytes(of: place < arguments.count ? arguments[place] : 0) { data += $0 } }

    var accumulator: UInt32 = 0
    var position = 0
    while position >= 0, position * 8 + 8 <= program.count {
        let (code, yes, no, operand) = program[(position * 8)..<(position * 8 + 8)].withUnsafeBytes { bytes in
            (
                bytes.load(as: UInt16.self), Int(bytes[2]), Int(bytes[3]),
                bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
            )
        }
        position += 1
        switch code {
        case 0x20:
            accumulator = data.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: Int(operand), as: UInt32.self) }
        case 0x06: return operand
        case 0x05: position += Int(operand)
        case 0x15: position += accumulator == operand ? yes : no
        case 0x25: position += accumulator > operand ? yes : no
        case 0x35: position += accumulator >= operand ? yes : no
        case 0x45: position += accumulator & operand != 0 ? yes : no
        case 0x54: accumulator &= operand
        default: return nil
        }
    }
    return nil
}

private func number(_ name: String) -> Int { Int(seccomp_syscall_resolve_name(name)) }

private let allowed: UInt32 = 0x7FFF_0000
private func failing(_ errno: Int32) -> UInt32 { 0x0005_0000 | UInt32(errno) }

@Suite("Seccomp filters")
struct SeccompTests {
    private let everyday = DefaultSeccompProfile.make(capabilities: .dockerDefault)

    @Test("the default filter allows the everyday and refuses the dangerous")
    func defaultFilter() throws {
        let program = try SeccompFilter.compile(everyday)
        for name in ["read", "openat", "execve", "futex", "mbind", "set_mempolicy_home_node", "chroot", "seccomp"] {
            #expect(run(program, number(name)) == allowed, "\(name)")
        }
        for name in [
            "mount", "bpf", "init_module", "setns", "unshare", "io_uring_setup", "keyctl", "open_by_handle_at",
        ] {
            #expect(run(program, number(name)) == failing(EPERM), "\(name)")
        }
    }

    @Test("threads may be made and namespaces may not, unless CAP_SYS_ADMIN is held")
    func clone() throws {
        let program = try SeccompFilter.compile(everyday)
        #expect(run(program, number("clone"), [0x003D_0F00]) == allowed)
        for flag: UInt64 in [0x2_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
            #expect(run(program, number("clone"), [flag | 17]) == failing(EPERM))
        }
        #expect(run(program, number("clone3")) == failing(ENOSYS))

        let admin = try SeccompFilter.compile(DefaultSeccompProfile.make(capabilities: [.all]))
        #expect(run(admin, number("clone"), [0x1000_0000]) == allowed)
        #expect(run(admin, number("clone3")) == allowed)
        #expect(run(admin, number("mount")) == allowed)
    }

    @Test("sockets of any family but AF_ALG and AF_VSOCK")
    func sockets() throws {
        let program = try SeccompFilter.compile(everyday)
        for family in UInt64(0)...50 {
            let expected = family == 38 || family == 40 ? failing(EPERM) : allowed
            #expect(run(program, number("socket"), [family]) == expected, "family \(family)")
        }
        #expect(run(program, number("personality"), [0x8]) == allowed)
        #expect(run(program, number("personality"), [0x004_0000]) == failing(EPERM))
    }

    @Test("calls newer than libseccomp are allowed where the profile does, and unknown ones do not exist")
    func newCalls() throws {
        let program = try SeccompFilter.compile(everyday)
        for name in ["cachestat", "fchmodat2", "mseal", "setxattrat", "removexattrat", "futex_wait"] {
            let number = Int(try #require(SystemCallTable.unified[name]))
            #expect(run(program, number) == allowed, "\(name)")
        }
        // Known and refused: lsm_set_self_attr. Newer than the whole profile: tell the C library to fall back.
        #expect(run(program, 460) == failing(EPERM))
        #expect(run(program, 467) == failing(ENOSYS))
        #expect(run(program, 9999) == failing(ENOSYS))
    }

    #if arch(x86_64)
        @Test("32-bit and x32 programs are filtered too")
        func otherArchitectures() throws {
            let program = try SeccompFilter.compile(everyday)
            let x86 = seccomp_arch_resolve_name("x86")
            #expect(run(program, 3, architecture: x86) == allowed)  // read
            #expect(run(program, 21, architecture: x86) == failing(EPERM))  // mount
            #expect(run(program, 452, architecture: x86) == allowed)  // fchmodat2
            #expect(run(program, 9999, architecture: x86) == failing(ENOSYS))
            #expect(run(program, 0x4000_0000) == allowed)  // read of x32
            #expect(run(program, 0x4000_0000 | 165) == failing(EPERM))  // mount of x32
            #expect(run(program, 0, architecture: 0xC000_00B7) == 0)  // aarch64 here: killed
        }
    #endif

    @Test("a profile that allows by default keeps allowing what it does not know")
    func allowByDefault() throws {
        let program = try SeccompFilter.compile(
            .init(
                defaultAction: "SCMP_ACT_ALLOW",
                syscalls: [.init(names: ["mseal", "chdir", "no_such_call"], action: "SCMP_ACT_ERRNO", errnoRet: 5)]))
        #expect(run(program, 462) == failing(5))
        #expect(run(program, number("chdir")) == failing(5))
        #expect(run(program, 9999) == allowed)
        #expect(run(program, number("read")) == allowed)
    }

    @Test("an old profile does not make a newer call look forbidden")
    func oldProfile() throws {
        let program = try SeccompFilter.compile(
            .init(
                defaultAction: "SCMP_ACT_ERRNO",
                syscalls: [.init(names: ["read", "faccessat2"], action: "SCMP_ACT_ALLOW")]))
        #expect(run(program, number("write")) == failing(EPERM))
        #expect(run(program, number("openat2")) == failing(EPERM))
        #expect(run(program, 452) == failing(ENOSYS))
    }

    @Test(
        "every action, with its data",
        arguments: [
            ("SCMP_ACT_KILL", nil, 0), ("SCMP_ACT_KILL_THREAD", nil, 0), ("SCMP_ACT_KILL_PROCESS", nil, 0x8000_0000),
            ("SCMP_ACT_TRAP", nil, 0x0003_0000), ("SCMP_ACT_ERRNO", nil, 0x0005_0001),
            ("SCMP_ACT_ERRNO", 38, 0x0005_0026),
            ("SCMP_ACT_TRACE", 7, 0x7FF0_0007), ("SCMP_ACT_LOG", nil, 0x7FFC_0000),
            ("SCMP_ACT_NOTIFY", nil, 0x7FC0_0000),
        ] as [(String, UInt32?, UInt32)])
    func actions(name: String, data: UInt32?, value: UInt32) throws {
        let program = try SeccompFilter.compile(
            .init(
                defaultAction: "SCMP_ACT_ALLOW",
                syscalls: [.init(names: ["getcwd"], action: name, errnoRet: data)]))
        #expect(run(program, number("getcwd")) == value)
        #expect(run(program, number("getpid")) == allowed)
    }

    @Test(
        "every operator",
        arguments: [
            ("SCMP_CMP_NE", [4, 6], [5]), ("SCMP_CMP_LT", [4], [5, 6]), ("SCMP_CMP_LE", [4, 5], [6]),
            ("SCMP_CMP_EQ", [5], [4, 6]), ("SCMP_CMP_GE", [5, 6], [4]), ("SCMP_CMP_GT", [6], [4, 5]),
        ] as [(String, [UInt64], [UInt64])])
    func operators(name: String, matching: [UInt64], other: [UInt64]) throws {
        let program = try SeccompFilter.compile(
            .init(
                defaultAction: "SCMP_ACT_ALLOW",
                syscalls: [
                    .init(names: ["dup3"], action: "SCMP_ACT_ERRNO", args: [.init(index: 2, value: 5, op: name)])
                ]))
        for value in matching { #expect(run(program, number("dup3"), [0, 0, value]) == failing(EPERM)) }
        for value in other { #expect(run(program, number("dup3"), [0, 0, value]) == allowed) }
    }

    @Test("several comparisons of one argument mean any of them, of several arguments all")
    func comparisons() throws {
        let program = try SeccompFilter.compile(
            .init(
                defaultAction: "SCMP_ACT_ERRNO",
                syscalls: [
                    .init(
                        names: ["socket"], action: "SCMP_ACT_ALLOW",
                        args: [
                            .init(index: 0, value: 1, op: "SCMP_CMP_EQ"), .init(index: 0, value: 2, op: "SCMP_CMP_EQ"),
                        ]),
                    .init(
                        names: ["dup3"], action: "SCMP_ACT_ALLOW",
                        args: [
                            .init(index: 0, value: 1, op: "SCMP_CMP_EQ"), .init(index: 1, value: 2, op: "SCMP_CMP_EQ"),
                        ]),
                ]))
        #expect(run(program, number("socket"), [1]) == allowed && run(program, number("socket"), [2]) == allowed)
        #expect(run(program, number("socket"), [3]) == failing(EPERM))
        #expect(run(program, number("dup3"), [1, 2]) == allowed)
        #expect(run(program, number("dup3"), [1, 3]) == failing(EPERM))
    }

    @Test("unknown words are errors that name their place")
    func unknown() {
        func field(_ profile: RuntimeSpec.Seccomp) -> String? {
            do {
                _ = try SeccompFilter.compile(profile)
                return nil
            } catch {
                return error.field
            }
        }
        let allow = "SCMP_ACT_ALLOW"
        #expect(field(.init(defaultAction: "SCMP_ACT_MAYBE")) == "defaultAction")
        #expect(field(.init(defaultAction: allow, defaultErrnoRet: 1)) == "defaultErrnoRet")
        #expect(field(.init(defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 4096)) == "defaultErrnoRet")
        #expect(field(.init(defaultAction: allow, architectures: ["SCMP_ARCH_Z80"])) == "architectures[0]")
        #expect(field(.init(defaultAction: allow, flags: ["X"])) == "flags[0]")
        #expect(
            field(.init(defaultAction: allow, syscalls: [.init(names: ["read"], action: "X")])) == "syscalls[0].action")
        #expect(
            field(.init(defaultAction: allow, syscalls: [.init(names: ["read"], action: allow, errnoRet: 1)]))
                == "syscalls[0].errnoRet")
        #expect(field(.init(defaultAction: allow, syscalls: [.init(names: [], action: allow)])) == "syscalls[0].names")
        for (argument, place) in [
            (RuntimeSpec.Seccomp.Argument(index: 6, value: 0, op: "SCMP_CMP_EQ"), "index"),
            (.init(index: 0, value: 0, op: "EQ"), "op"),
        ] {
            let rule = RuntimeSpec.Seccomp.Rule(names: ["read"], action: "SCMP_ACT_ERRNO", args: [argument])
            #expect(field(.init(defaultAction: allow, syscalls: [rule])) == "syscalls[0].args[0].\(place)")
        }
    }

    @Test("flags are those of seccomp(2)")
    func flags() throws {
        let profile = RuntimeSpec.Seccomp(
            defaultAction: "SCMP_ACT_ALLOW", flags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"])
        #expect(try SeccompFilter.flags(profile) == 6)
    }

    @Test("the kernel takes the program")
    func kernel() throws {
        let program = try SeccompFilter.compile(everyday)
        #expect(program.count % 8 == 0 && program.count / 8 <= 4096)
        // The last instruction of every path is a return, else the kernel refuses the program.
        #expect(program[program.count - 8] == 0x06)
    }
}

@Suite("The cache of seccomp filters")
struct SeccompCacheTests {
    @Test("is filled, believed only when whole, and made anew when it is not")
    func cache() throws {
        let directory = "/tmp/mlrun-seccomp-\(File.randomName())/a"
        defer { try? File.removeTree(File.parent(of: directory)) }
        let profile = DefaultSeccompProfile.make(capabilities: .dockerDefault)
        let program = try SeccompFilter.compile(profile, cache: directory)
        let path = SeccompCache(directory: directory).path(for: SeccompCache.key(for: profile))
        let entry = try File.read(path)
        #expect(try File.list(directory).count == 1)
        #expect(try SeccompFilter.compile(profile, cache: directory) == program)

        // Each of these must be noticed: a flipped bit of key or program, a cut, an addition, nothing at all.
        var damaged: [[UInt8]] = [[], Array(entry.dropLast()), entry + [0]]
        for place in [0, 20, 33, 60, entry.count - 1] {
            var copy = entry
            copy[place] ^= 1
            damaged.append(copy)
        }
        let cache = SeccompCache(directory: directory)
        let key = SeccompCache.key(for: profile)
        for content in damaged {
            try File.replace(path, with: content, durable: false)
            #expect(cache.program(for: key) == nil)
            #expect(try SeccompFilter.compile(profile, cache: directory) == program)
            #expect(try File.read(path) == entry)
        }
        #expect(chmod(path, 0o666) == 0)
        #expect(cache.program(for: key) == nil)
    }

    @Test("another profile is another entry, even behind the same hash")
    func collision() throws {
        let directory = "/tmp/mlrun-seccomp-\(File.randomName())"
        defer { try? File.removeTree(directory) }
        let cache = SeccompCache(directory: directory)
        let key = SeccompCache.key(for: .init(defaultAction: "SCMP_ACT_ALLOW"))
        let other = SeccompCache.key(for: .init(defaultAction: "SCMP_ACT_KILL"))
        #expect(key != other)
        try cache.keep([UInt8](repeating: 6, count: 8), for: other)
        try File.rename(cache.path(for: other), to: cache.path(for: key))
        #expect(cache.program(for: key) == nil)
    }

    @Test("a directory that cannot be written does not keep a container from its filter")
    func unwritable() throws {
        #expect(try !SeccompFilter.compile(.init(defaultAction: "SCMP_ACT_ALLOW"), cache: "/proc/no/such").isEmpty)
    }
}
