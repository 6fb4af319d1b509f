internal import Glibc
public import LinuxSystem
internal import OCISpec

/// What can be said of a service's settings before there is an image.
public enum HostCheck {
    /// Whether this host can give the limits and the network that settings ask for; nothing is left of the attempt. Without root
    /// nothing is tried.
    ///
    /// - Throws: ``ControlError`` with what cannot be had, why and what to do.
    public static func check(_ settings: ServiceSettings, _ directories: MLRunDirectories) throws(ControlError) {
        if geteuid() != 0 { return }
        try ReplicaNetwork.check(settings)
        let limits = settings.limits
        if limits == ResourceLimits() { return }
        let host = try HostSnapshot(directories)
        let facts = host.buildFacts(ReplicaID(settings.name), slot: 0, taken: [], devices: limits.ioDevices)
        var spec = RuntimeSpec()
        spec.linux = RuntimeSpec.Linux()
        do throws(BuildError) { spec.linux?.resources = try ContainerBuilder.resources(settings, facts) } catch {
            throw ControlError(error.message, remedy: error.remedy)
        }
        try ContainerAssembly.rehearseLimits(of: spec, settings, host)
    }
}
