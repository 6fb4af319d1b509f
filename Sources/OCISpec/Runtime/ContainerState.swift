/// What `state` says of a container (runtime-spec, runtime.md).
/// Members without a comment mean what the specification's of that name mean.
public struct ContainerState: Sendable, Equatable {
    public enum Status: String, Sendable {
        case creating, created, running, stopped
        /// Not of the specification; runc and its callers know it.
        case paused
    }

    public var ociVersion: String
    public var id: String
    public var status: Status
    /// Of the container's process as the host sees it; nil once it is stopped.
    public var pid: Int32?
    /// Absolute.
    public var bundle: String
    public var annotations: [String: String]

    public init(
        ociVersion: String = "1.3.0", id: String, status: Status, pid: Int32? = nil, bundle: String,
        annotations: [String: String] = [:]
    ) {
        self.ociVersion = ociVersion
        self.id = id
        self.status = status
        self.pid = pid
        self.bundle = bundle
        self.annotations = annotations
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        ociVersion = try cursor.required("ociVersion").string()
        id = try cursor.required("id").string()
        let status = try cursor.required("status")
        let word = try status.string()
        guard let known = Status(rawValue: word) else { throw status.failure("\"\(word)\" is no status") }
        self.status = known
        pid = try cursor.optionalInteger("pid").flatMap { $0 == 0 ? nil : $0 }
        bundle = try cursor.required("bundle").string()
        annotations = try cursor.optional("annotations")?.stringMap() ?? [:]
    }

    public var json: JSON {
        var object = JSONObject()
        object["ociVersion"] = .string(ociVersion)
        object["id"] = .string(id)
        object["pid"] = .integer(Int64(pid ?? 0))
        object["status"] = .string(status.rawValue)
        object["bundle"] = .string(bundle)
        object.set("annotations", annotations)
        return .object(object)
    }
}
