internal import CLinux
internal import LinuxSystem
public import OCISpec

/// Limits the devices of a cgroup of version 2 by an eBPF program (BPF_CGROUP_DEVICE), which replaces version 1's
/// devices controller.
public enum DeviceFilter {
    /// What to do where the kernel does not let this process load programs.
    public enum WithoutPermission: Sendable {
        /// Fail.
        case refuse
        /// Go on, also where the kernel has no such programs: right inside of a user namespace without the right to make
        /// device nodes, where only nodes that were bound into the container exist, and for rules that nobody asked for.
        case skip
    }

    /// Puts these rules in force for a group, in place of those put there before; no moment is left open in between.
    /// - Parameter isNew: the group was made just now and has none to be replaced.
    /// - Returns: whether the filter is in force.
    @discardableResult
    public static func apply(
        _ rules: [RuntimeSpec.Resources.DeviceRule], to cgroup: Cgroup, isNew: Bool = false,
        withoutPermission: WithoutPermission = .refuse
    ) throws(CgroupError) -> Bool {
        let bytes = try DeviceProgram(rules).bytes
        let directory: OwnedDescriptor
        do { directory = try File.open(cgroup.path, 0) } catch { throw CgroupError(error) }

        var log = [UInt8](repeating: 0, count: 16384)
        let loaded = bytes.withUnsafeBytes { program in
            log.withUnsafeMutableBytes { words in
                mlr_bpf_load_device_program(
                    program.baseAddress, program.count / 8, words.bindMemory(to: CChar.self).baseAddress, words.count)
            }
        }
        if loaded < 0 {
            let errno = Errno(rawValue: -loaded)
            let words = String(decoding: log.prefix { $0 != 0 }, as: UTF8.self).split(separator: "\n").last ?? ""
            return try failure("load", cgroup, errno, words.isEmpty ? "" : " (\(words))", withoutPermission)
        }
        let program = OwnedDescriptor(taking: loaded)

        let old = isNew ? [] : try attachedPrograms(directory.rawValue, cgroup)
        // One that is replaced in its place; with several, the new one is in force before the old ones go.
        let replaced = old.count == 1 ? old[0].rawValue : -1
        let attached = mlr_bpf_attach_device_program(directory.rawValue, program.rawValue, replaced)
        if attached < 0 { return try failure("attach", cgroup, Errno(rawValue: -attached), "", withoutPermission) }
        if old.count > 1 { try detach(old, directory.rawValue, cgroup) }
        return true
    }

    /// Takes away what ``apply(_:to:withoutPermission:)`` has put there.
    static func remove(from cgroup: Cgroup) throws(CgroupError) {
        let directory: OwnedDescriptor
        do { directory = try File.open(cgroup.path, 0) } catch { throw CgroupError(error) }
        try detach(try attachedPrograms(directory.rawValue, cgroup), directory.rawValue, cgroup)
    }

    private static func detach(
        _ programs: [SharedDescriptor], _ directory: Int32, _ cgroup: Cgroup
    ) throws(CgroupError) {
        for program in programs {
            let detached = mlr_bpf_detach_device_program(directory, program.rawValue)
            if detached < 0, detached != -Errno.noSuchFile.rawValue {
                _ = try failure("detach an older one of", cgroup, Errno(rawValue: -detached), "", .refuse)
            }
        }
    }

    /// The programs of an earlier call.
    private static func attachedPrograms(_ directory: Int32, _ cgroup: Cgroup) throws(CgroupError) -> [SharedDescriptor]
    {
        var identifiers = [UInt32](repeating: 0, count: 64)
        let count = mlr_bpf_list_device_programs(directory, &identifiers, identifiers.count)
        if count < 0 {
            _ = try failure("list", cgroup, Errno(rawValue: -count), "", .refuse)
        }
        var programs: [SharedDescriptor] = []
        for identifier in identifiers.prefix(Int(max(count, 0))) {
            let opened = mlr_bpf_open_program(identifier)
            if opened == -Errno.noSuchFile.rawValue { continue }
            if opened < 0 { _ = try failure("open", cgroup, Errno(rawValue: -opened), "", .refuse) }
            let program = SharedDescriptor(taking: opened)
            // Another's program, such as systemd's on a scope of its own making, stays: both have to agree.
            let ours = mlr_bpf_is_device_program(opened)
            if ours < 0 { _ = try failure("inspect", cgroup, Errno(rawValue: -ours), "", .refuse) }
            if ours == 1 { programs.append(program) }
        }
        return programs
    }

    private static func failure(
        _ verb: String, _ cgroup: Cgroup, _ errno: Errno, _ words: String, _ policy: WithoutPermission
    ) throws(CgroupError) -> Bool {
        // The verifier, which only kernels with such programs have, says what it refuses.
        let isUnknown = errno == .noSystemCall || (verb == "load" && errno == .invalidArgument && words.isEmpty)
        let missing = errno == .notPermitted || isUnknown
        if missing, policy == .skip { return false }
        let remedy =
            switch errno {
            case .notPermitted:
                "loading device filters takes CAP_BPF or CAP_SYS_ADMIN in the host's user namespace: run as root"
            case .noSystemCall, .invalidArgument:
                "the kernel needs CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF (Linux 5.1 or later)"
            default: "see the kernel's log (dmesg)"
            }
        throw CgroupError(
            .limit(field: "devices", controller: "devices"),
            "cannot \(verb) the device filter of the cgroup \(cgroup.path): \(errno)\(words)", remedy: remedy)
    }
}
