internal import OCISpec

extension ContainerDirectory {
    /// Gives a container the devices that its annotations and its creator ask for by the Container Device Interface.
    /// - Returns: the rules that let it use them.
    static func addDescribedDevices(
        to spec: inout RuntimeSpec, _ options: CreateOptions
    ) throws(ContainerError) -> [RuntimeSpec.Resources.DeviceRule] {
        do throws(CDIError) {
            var names = options.heedsAnnotations ? try CDIRegistry.names(in: spec.annotations) : []
            for text in options.devices {
                guard let name = CDIName(text) else {
                    throw CDIError(
                        "--device \"\(text)\" is no name of a CDI device",
                        remedy: "write it as vendor/class=name, such as nvidia.com/gpu=all")
                }
                names.append(name)
            }
            if names.isEmpty { return [] }
            return try CDIRegistry(directories: options.deviceDirectories).inject(names, into: &spec)
        } catch {
            throw .configuration("\(error)")
        }
    }

    /// What is told of annotations that are not heeded, so that a missing device has a reason.
    static func annotationsLeftOut(_ spec: RuntimeSpec, _ options: CreateOptions) -> [String] {
        if options.heedsAnnotations { return [] }
        return spec.annotations.keys.filter { $0.hasPrefix(CDIRegistry.annotationPrefix) }.sorted().map {
            "annotations[\"\($0)\"]: is left out, since annotations get no devices here (--cdi-annotations=false)"
        }
    }
}
