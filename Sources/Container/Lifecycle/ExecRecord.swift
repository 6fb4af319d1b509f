internal import LinuxSystem
internal import OCISpec

/// What a further process needs of a container, `exec` of its state directory: its configuration without mounts, hooks and
/// cgroup limits, and the system call filter as it was loaded. Reading that instead of `config.json` with hundreds of names of
/// system calls is a tenth of the time of `exec`.
struct ExecRecord: Sendable, Equatable {
    var spec: RuntimeSpec
    /// As ``SeccompFilter/compile(_:cache:)`` made it; nil without a filter.
    var program: [UInt8]?

    private static let magic = Array("mlrun exec 1\n".utf8)

    /// - Parameter program: the compiled filter; a policy that asks a listener is kept whole instead.
    init(_ spec: RuntimeSpec, program: [UInt8]?) {
        let asks = spec.linux?.seccomp.map(SeccompFilter.notifies) ?? true
        let program = asks ? nil : program
        var linux = RuntimeSpec.Linux()
        linux.namespaces = spec.linux?.namespaces ?? []
        linux.seccomp = spec.linux?.seccomp
        if program != nil { linux.seccomp?.syscalls = [] }
        linux.personality = spec.linux?.personality
        linux.memoryPolicy = spec.linux?.memoryPolicy
        linux.intelRdt = spec.linux?.intelRdt
        self.spec = RuntimeSpec(ociVersion: spec.ociVersion, process: spec.process, linux: linux)
        self.program = program
    }

    /// Nil for what is no such record, or is damaged.
    init?(_ bytes: [UInt8]) {
        let head = Self.magic.count + 8
        guard bytes.count >= head, bytes.starts(with: Self.magic) else { return nil }
        let size = bytes[Self.magic.count..<head].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard size <= UInt64(BPFInstruction.mostOfProgram * BPFInstruction.size),
            size % UInt64(BPFInstruction.size) == 0, bytes.count >= head + Int(size),
            let json = try? JSON(parsing: Array(bytes[(head + Int(size))...])),
            let spec = try? RuntimeSpec(JSONCursor(json))
        else { return nil }
        self.spec = spec
        program = size == 0 ? nil : Array(bytes[head..<head + Int(size)])
        // A policy without its rules is none.
        let filters = spec.linux?.seccomp.map { !SeccompFilter.notifies($0) } ?? false
        if filters != (program != nil) { return nil }
    }

    var bytes: [UInt8] {
        var bytes = Self.magic
        withUnsafeBytes(of: UInt64(program?.count ?? 0).littleEndian) { bytes.append(contentsOf: $0) }
        return bytes + (program ?? []) + spec.json.bytes()
    }
}
