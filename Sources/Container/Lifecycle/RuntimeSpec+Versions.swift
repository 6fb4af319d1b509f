internal import OCISpec

// What an earlier version of the specification meant by the same text.
extension RuntimeSpec {
    /// Since version 1.3 a limit of 0 processes is a limit. Before that callers meant none by it; podman 4 writes 0 for -1.
    private var meansAnyNumberByZero: Bool {
        let version = ociVersion.split(separator: ".")
        guard version.count > 1, version[0] == "1", let minor = Int(version[1]) else { return false }
        return minor < 3
    }

    /// The configuration as the newest version writes it.
    func adapted() -> RuntimeSpec {
        guard linux?.resources?.pids?.limit == 0, meansAnyNumberByZero else { return self }
        var spec = self
        spec.linux?.resources?.pids?.limit = -1
        return spec
    }

    /// Changes of a container's resources, in which 0 was how to say nothing.
    func adapted(_ changes: Resources) -> Resources {
        guard changes.pids?.limit == 0, meansAnyNumberByZero else { return changes }
        var changes = changes
        changes.pids = nil
        return changes
    }
}
