internal import Container
internal import OCISpec

extension ContainerAssembly {
    /// Gives the container the devices that its settings name by the Container Device Interface. Their nodes are bound in
    /// from the host, as all devices of a service are: in a user namespace none can be made.
    func addDescribedDevices(to build: inout ContainerBuild) throws(BuildError) {
        if settings.cdiDevices.isEmpty { return }
        do throws(CDIError) {
            build.deviceRules += try CDIRegistry().inject(settings.cdiDevices, into: &build.spec, nodes: .bound)
        } catch {
            throw BuildError(
                "cdiDevices", error.cause, remedy: error.remedy ?? "name a device of this host's files with --device")
        }
        let hooks = build.spec.hooks ?? .init()
        for (stage, list) in [
            ("prestart", hooks.prestart), ("createRuntime", hooks.createRuntime), ("poststart", hooks.poststart),
            ("poststop", hooks.poststop),
        ] {
            guard let hook = list.first else { continue }
            throw BuildError(
                "cdiDevices",
                "the devices ask for \(hook.path) to be run as a \(stage) hook, which services do not have",
                remedy: "use a description whose hooks are createContainer or startContainer")
        }
    }
}
