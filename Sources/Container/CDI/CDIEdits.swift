internal import Glibc
internal import LinuxSystem
public import OCISpec

extension CDIRegistry {
    /// Annotations of this prefix ask for devices, as the plugins of Kubernetes write them.
    public static let annotationPrefix = "cdi.k8s.io/"

    /// The same in the document of features, where only what ends with a dot stands for what begins with it (features.md).
    static let annotationPattern = "cdi.k8s."

    /// The devices that annotations ask for, in the order of their keys.
    public static func names(in annotations: [String: String]) throws(CDIError) -> [CDIName] {
        var found: [CDIName] = []
        for (key, value) in annotations.sorted(by: { $0.key < $1.key }) where key.hasPrefix(annotationPrefix) {
            for text in value.split(separator: ",", omittingEmptySubsequences: false) {
                guard let name = CDIName(String(text)) else {
                    throw CDIError(
                        "annotations[\"\(key)\"]: \"\(text)\" is no name of a CDI device",
                        remedy: "write it as vendor/class=name, with commas between several")
                }
                found.append(name)
            }
        }
        return found
    }

    /// How a container gets device nodes.
    public enum Nodes: Sendable {
        /// They are made in the container.
        case made
        /// Those of the host are bound in, for containers that cannot make any.
        case bound
    }

    /// Gives devices to a container: changes its configuration as the files of their vendors say.
    ///
    /// Whatever a file needs of the host and the host has not is an error: the file is older than the driver then.
    /// - Returns: the rules that let the container use the nodes. They are in its configuration already if that has any.
    @discardableResult
    public func inject(
        _ names: [CDIName], into spec: inout RuntimeSpec, nodes: Nodes = .made
    ) throws(CDIError) -> [RuntimeSpec.Resources.DeviceRule] {
        var edited = spec
        var rules: [RuntimeSpec.Resources.DeviceRule] = []
        for (file, edits) in try edits(for: names) { rules += try edited.apply(edits, of: file, nodes) }
        // Without any rules a container may use the devices that it has nodes of.
        if edited.linux?.resources?.devices.isEmpty == false { edited.linux?.resources?.devices += rules }
        spec = edited
        return rules
    }
}

extension RuntimeSpec {
    mutating func apply(
        _ edits: CDISpec.Edits, of file: String, _ nodes: CDIRegistry.Nodes
    ) throws(CDIError) -> [Resources.DeviceRule] {
        if !edits.env.isEmpty || !edits.additionalGids.isEmpty, process == nil {
            throw CDIError("\(file): its edits are about the process, and the container has none")
        }
        for variable in edits.env {
            let name = variable.prefix { $0 != "=" } + "="
            if let index = process?.env.firstIndex(where: { $0.hasPrefix(name) }) {
                process?.env[index] = variable
            } else {
                process?.env.append(variable)
            }
        }
        for gid in edits.additionalGids where gid != 0 && process?.user.additionalGids.contains(gid) == false {
            process?.user.additionalGids.append(gid)
        }
        var linux = linux ?? .init()
        var bound: [CDISpec.Mount] = []
        var rules: [Resources.DeviceRule] = []
        for node in edits.deviceNodes {
            let (device, host) = try node.device(of: file, user: process?.user)
            if nodes == .bound {
                // Read-only keeps the owner and mode of the host's node; the device itself can be written all the same.
                bound.append(
                    .init(
                        hostPath: host, containerPath: node.path,
                        options: ["bind", "rprivate", "nosuid", "noexec", "ro", "dev"], type: "none"))
            } else {
                linux.devices.removeAll { $0.path == device.path }
                linux.devices.append(device)
            }
            if device.type == "p" || node.permissions == "none" { continue }
            rules.append(
                .init(
                    allow: true, type: device.type == "u" ? "c" : device.type, major: device.major, minor: device.minor,
                    access: node.permissions ?? "rwm"))
        }
        for device in edits.netDevices { linux.netDevices[device.hostInterfaceName] = .init(name: device.name) }
        if let rdt = edits.intelRdt { linux.intelRdt = rdt }
        self.linux = linux
        try add(bound + edits.mounts, of: file)
        try add(edits.hooks, of: file)
        return rules
    }

    private mutating func add(_ new: [CDISpec.Mount], of file: String) throws(CDIError) {
        if new.isEmpty { return }
        for mount in new {
            let isBind =
                mount.type == nil || mount.type == "bind" || mount.options.contains { $0 == "bind" || $0 == "rbind" }
            if isBind, (try? File.status(mount.hostPath)) == nil {
                throw CDIError.stale(file, "the mount of \(mount.hostPath)", mount.hostPath)
            }
            let target = mount.containerPath.cleanPath
            mounts.removeAll { $0.destination.cleanPath == target }
            var options = mount.options
            if isBind, !options.contains(where: { $0 == "bind" || $0 == "rbind" }) { options.append("bind") }
            mounts.append(
                Mount(
                    destination: mount.containerPath, type: isBind ? mount.type ?? "bind" : mount.type,
                    source: mount.hostPath, options: options))
        }
        // A mount must come after the one it lies in.
        func depth(_ mount: Mount) -> Int { mount.destination.cleanPath.utf8.count { $0 == UInt8(ascii: "/") } }
        let order = mounts.enumerated().sorted { (depth($0.element), $0.offset) < (depth($1.element), $1.offset) }
        mounts = order.map(\.element)
    }

    private mutating func add(_ new: [CDISpec.Hook], of file: String) throws(CDIError) {
        var all = hooks ?? .init()
        for hook in new {
            // One that starts in the container is looked for there.
            if hook.hookName != "startContainer", access(hook.path, X_OK) != 0 {
                throw CDIError.stale(file, "the program \(hook.path) of its \(hook.hookName) hook", hook.path)
            }
            let made = Hook(path: hook.path, args: hook.args, env: hook.env, timeout: hook.timeout)
            let list: WritableKeyPath<Hooks, [Hook]> =
                switch hook.hookName {
                case "prestart": \.prestart
                case "createRuntime": \.createRuntime
                case "createContainer": \.createContainer
                case "startContainer": \.startContainer
                case "poststart": \.poststart
                default: \.poststop
                }
            // A caller may have applied the same edits, and left the annotation in place.
            if !all[keyPath: list].contains(made) { all[keyPath: list].append(made) }
        }
        if !new.isEmpty { hooks = all }
    }
}

extension CDISpec.DeviceNode {
    /// The node to make, and the one of the host that it stands for. What the file does not say, the host's node does.
    fileprivate func device(
        of file: String, user: RuntimeSpec.User?
    ) throws(CDIError) -> (device: RuntimeSpec.Device, hostPath: String) {
        let host = hostPath ?? path
        var device = RuntimeSpec.Device(
            type: type ?? "", path: path, major: major, minor: minor, fileMode: fileMode, uid: uid, gid: gid)
        let hasNumber = (major ?? 0) != 0 || (minor ?? 0) != 0 || type == "p"
        if type == nil || !hasNumber {
            let found = try lookUp(host, file)
            device.type = type ?? found.kind.rawValue
            if !hasNumber, found.kind != .fifo {
                device.major = Int64(found.major)
                device.minor = Int64(found.minor)
            }
        }
        // A container's user is to be able to use what was made for the container.
        if device.uid == nil, let uid = user?.uid, uid > 0 { device.uid = uid }
        if device.gid == nil, let gid = user?.gid, gid > 0 { device.gid = gid }
        return (device, host)
    }

    private func lookUp(_ host: String, _ file: String) throws(CDIError) -> HostDevice {
        let found: HostDevice?
        do throws(SystemError) { found = try HostDevice(lookingUp: host) } catch {
            throw error.errno == .noSuchFile
                ? CDIError.stale(file, "the device node \(host)", host)
                : CDIError("\(file): the device node \(host) cannot be looked up: \(error)")
        }
        guard let found else {
            throw CDIError("\(file): \(host) is no device node on this host", remedy: CDIError.renewal(of: file))
        }
        let isSame = type == nil || type == found.kind.rawValue || (type == "u" && found.kind == .character)
        guard isSame else {
            throw CDIError(
                "\(file): \(host) is of type \(type ?? ""), but on this host of type \(found.kind.rawValue)",
                remedy: CDIError.renewal(of: file))
        }
        return found
    }
}

extension CDIError {
    /// A file that tells of what the host has not.
    static func stale(_ file: String, _ what: String, _ path: String) -> CDIError {
        CDIError("\(file) is out of date: it has \(what), which is not on this host", remedy: renewal(of: file))
    }

    static func renewal(of file: String) -> String {
        file.split(separator: "/").last?.hasPart("nvidia") == true
            ? "write it anew: nvidia-ctk cdi generate --output=\(file)" : "have the vendor's program write it anew"
    }
}
