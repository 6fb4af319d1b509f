internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Hands the listener of a container's filter to the agent that answers its notifications.
enum SeccompListener {
    /// One connection, one message (runtime-spec, config-linux.md, "The Container Process State").
    static func hand(
        _ listener: SharedDescriptor, of process: ContainerProcess, _ profile: RuntimeSpec.Seccomp,
        _ state: ContainerState?
    ) throws(LaunchError) {
        let path = profile.listenerPath ?? ""
        var state = state ?? ContainerState(id: "", status: .creating, bundle: "/")
        if (state.pid ?? 0) == 0 { state.pid = process.pid }
        let message = ContainerProcessState(
            ociVersion: state.ociVersion, pid: process.pid, metadata: profile.listenerMetadata, state: state)
        do throws(SystemError) {
            let socket = OwnedDescriptor(
                taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0), "create a socket"))
            try check(mlr_connect_unix(socket.rawValue, path), "connect to the seccomp agent at", path: path)
            let bytes = message.json.bytes()
            var descriptor = listener.rawValue
            let sent = try check(
                retrying { mlr_send_descriptors(socket.rawValue, bytes, bytes.count, &descriptor, 1, 0) },
                "send the seccomp listener to", path: path)
            // The descriptor went with the first part; a long state may need more.
            try File.writeAll(Array(bytes.dropFirst(Int(sent))), to: socket.rawValue, path: path)
        } catch {
            throw .setting(path: "linux.seccomp.listenerPath", "\(LaunchError.system(error))")
        }
    }
}
