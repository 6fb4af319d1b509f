internal import LinuxSystem
internal import OCISpec

extension Cgroup {
    /// Makes room below a memory limit that is about to be set on a group that runs.
    ///
    /// Writing memory.max below what is in use makes the kernel kill. So with `checkBeforeUpdate` a limit below it is
    /// refused, as the specification asks; without, the kernel is first asked to take back what it can, and the limit is
    /// refused if that is not enough. Only an explicit `false` accepts the kill.
    func prepare(memory: RuntimeSpec.Resources.Memory?) throws(CgroupError) {
        guard let memory, memory.checkBeforeUpdate != false, let limit = memory.limit, limit > 0,
            let first = try used("memory.current"), first > UInt64(limit)
        else { return }
        let wanted = UInt64(limit)
        if memory.checkBeforeUpdate == true { throw Self.tooMuchInUse(wanted, first, afterReclaim: false) }
        var present = first
        // The kernel gives up on a request when it makes no headway; a few more find what has become free meanwhile.
        for _ in 0..<5 where present > wanted {
            let missing = write(String(present - wanted), to: "memory.reclaim")
            if let missing, missing != .wouldBlock { break }
            guard let now = try used("memory.current") else { return }
            present = now
        }
        if present > wanted { throw Self.tooMuchInUse(wanted, present, afterReclaim: true) }
    }

    private func used(_ file: String) throws(CgroupError) -> UInt64? {
        try readIfPresent(file).flatMap(CgroupText.limit)
    }

    private static func tooMuchInUse(_ wanted: UInt64, _ used: UInt64, afterReclaim: Bool) -> CgroupError {
        CgroupError(
            .limit(field: "memory.limit", controller: "memory"),
            "cannot lower memory.limit to \(wanted) bytes: \(used) bytes are in use"
                + (afterReclaim ? " and the kernel cannot take enough of them back" : ""),
            remedy:
                "choose a higher limit, or accept an out-of-memory kill by setting memory.checkBeforeUpdate to false")
    }
}
