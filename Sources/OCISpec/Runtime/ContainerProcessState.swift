/// What a seccomp agent is told along with the descriptors it gets (runtime-spec, config-linux.md).
/// Members without a comment mean what the specification's of that name mean.
public struct ContainerProcessState: Sendable, Equatable {
    public var ociVersion: String
    /// The names of the descriptors, in the order they are sent.
    public var fds: [String]
    /// Of the process that has the filter.
    public var pid: Int32
    public var metadata: String?
    public var state: ContainerState

    public init(
        ociVersion: String = "1.3.0", fds: [String] = ["seccompFd"], pid: Int32, metadata: String? = nil,
        state: ContainerState
    ) {
        self.ociVersion = ociVersion
        self.fds = fds
        self.pid = pid
        self.metadata = metadata
        self.state = state
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        ociVersion = try cursor.required("ociVersion").string()
        fds = try cursor.optional("fds")?.strings() ?? []
        pid = try cursor.required("pid").integer()
        metadata = try cursor.optional("metadata")?.string()
        state = try ContainerState(try cursor.required("state"))
    }

    public var json: JSON {
        var object = JSONObject()
        object["ociVersion"] = .string(ociVersion)
        object.set("fds", fds)
        object["pid"] = .integer(Int64(pid))
        object.set("metadata", metadata)
        object["state"] = state.json
        return .object(object)
    }
}
