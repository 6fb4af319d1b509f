internal import CLinux
internal import LinuxSystem
public import OCISpec

/// What `state` and `list` tell of a container: the specification's state, and what callers of runc read beside it.
public struct ContainerSummary: Sendable, Equatable {
    /// As the specification has it.
    public var state: ContainerState
    /// The root file system's directory on the host.
    public var rootfs: String
    /// Nanoseconds since 1970.
    public var created: UInt64
    /// The name of the user who made it, or the number of one without an account.
    public var owner: String

    /// One object, as runc prints it.
    public var json: JSON {
        guard case .object(var object) = state.json else { return state.json }
        object["rootfs"] = .string(rootfs)
        object["created"] = .string(Timestamp.rfc3339(nanoseconds: created))
        object["owner"] = .string(owner)
        return .object(object)
    }
}

extension ContainerDirectory {
    /// `state` and what else is known of a container.
    public func summary(_ id: String) throws(ContainerError) -> ContainerSummary {
        let record = try record(id)
        let owner: UInt32
        do throws(SystemError) { owner = try File.status(directory(id)).uid } catch { throw .system(error) }
        return ContainerSummary(
            state: record.state(try status(record)), rootfs: record.rootfs, created: record.created,
            owner: Self.name(ofUser: owner))
    }

    private static func name(ofUser uid: UInt32) -> String {
        let text = (try? File.readText("/etc/passwd")) ?? ""
        return PasswdEntry.first(in: text) { $0.uid == String(uid) }.map { String($0.name) } ?? String(uid)
    }
}
