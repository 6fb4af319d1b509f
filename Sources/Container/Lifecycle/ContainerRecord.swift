internal import LinuxSystem
internal import OCISpec

/// What is kept of a container between the calls of its life, `state.json` of its state directory.
struct ContainerRecord: Sendable, Equatable {
    var ociVersion: String
    var id: String
    var bundle: String
    var pid: Int32
    var startTime: UInt64
    /// Seconds since 1970.
    var created: Int64
    var annotations: [String: String]
    var rootfs: String
    /// The cgroup's directory; nil without one.
    var cgroup: String?
    /// Groups of resctrl that were made for it.
    var resourceGroups: [String] = []

    init(
        ociVersion: String, id: String, bundle: String, pid: Int32, startTime: UInt64, created: Int64,
        annotations: [String: String], rootfs: String, cgroup: String?
    ) {
        self.ociVersion = ociVersion
        self.id = id
        self.bundle = bundle
        self.pid = pid
        self.startTime = startTime
        self.created = created
        self.annotations = annotations
        self.rootfs = rootfs
        self.cgroup = cgroup
    }

    init(_ cursor: JSONCursor) throws(JSONError) {
        ociVersion = try cursor.required("ociVersion").string()
        id = try cursor.required("id").string()
        bundle = try cursor.required("bundle").string()
        pid = try cursor.required("pid").integer()
        startTime = try cursor.required("startTime").integer()
        created = try cursor.required("created").integer()
        annotations = try cursor.optional("annotations")?.stringMap() ?? [:]
        rootfs = try cursor.required("rootfs").string()
        cgroup = try cursor.optional("cgroup")?.string()
        resourceGroups = try cursor.optional("resourceGroups")?.strings() ?? []
    }

    var json: JSON {
        var object = JSONObject()
        object["ociVersion"] = .string(ociVersion)
        object["id"] = .string(id)
        object["bundle"] = .string(bundle)
        object["pid"] = .integer(Int64(pid))
        object["startTime"] = .unsigned(startTime)
        object["created"] = .integer(created)
        let pairs = annotations.sorted { $0.key < $1.key }
        object["annotations"] = .object(JSONObject(pairs.map { (name: $0.key, value: .string($0.value)) }))
        object["rootfs"] = .string(rootfs)
        object["cgroup"] = cgroup.map { .string($0) }
        object.set("resourceGroups", resourceGroups)
        return .object(object)
    }

    func state(_ status: ContainerState.Status) -> ContainerState {
        ContainerState(
            ociVersion: ociVersion, id: id, status: status, pid: status == .stopped ? nil : pid, bundle: bundle,
            annotations: annotations)
    }
}
