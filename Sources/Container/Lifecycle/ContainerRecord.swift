internal import LinuxSystem
internal import OCISpec

/// What is kept of a container between the calls of its life, `state.json` of its state directory.
struct ContainerRecord: Sendable, Equatable {
    var ociVersion: String
    var id: String
    var bundle: String
    var pid: Int32
    /// With the pid it names one process for ever (see ``ContainerProcess/startTime``).
    var startTime: UInt64
    /// Nanoseconds since 1970.
    var created: UInt64
    var annotations: [String: String]
    var rootfs: String
    /// The mount that ``rootfs`` is on, where the container's own is made over it in the host's mount namespace.
    var mountBelow: UInt64?
    /// The control groups; ``ContainerCgroup/none`` without any.
    var cgroup: ContainerCgroup
    /// Groups of resctrl that were made for it.
    var resourceGroups: [String] = []
    /// Rules for devices that were described by files, which its creator does not know of.
    var describedDevices: [RuntimeSpec.Resources.DeviceRule] = []
    /// Whether its configuration has hooks for its end, so that it has to be read then.
    var hasHooksForItsEnd = true

    init(
        ociVersion: String, id: String, bundle: String, pid: Int32, startTime: UInt64, created: UInt64,
        annotations: [String: String], rootfs: String, cgroup: ContainerCgroup
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
        let pid = try cursor.required("pid")
        self.pid = try pid.integer()
        // 0 stands for the caller and -1 for everybody where numbers of processes are taken.
        if self.pid < 0 { throw pid.failure("\(self.pid) is no number of a process") }
        startTime = try cursor.required("startTime").integer()
        created = try cursor.required("created").integer()
        annotations = try cursor.optional("annotations")?.stringMap() ?? [:]
        rootfs = try cursor.required("rootfs").string()
        mountBelow = try cursor.optionalInteger("mountBelow")
        cgroup = try cursor.optional("cgroup", ContainerCgroup.init) ?? .none
        resourceGroups = try cursor.optional("resourceGroups")?.strings() ?? []
        describedDevices = try cursor.list("describedDevices", RuntimeSpec.Resources.DeviceRule.init)
        hasHooksForItsEnd = try cursor.optional("poststop")?.bool() ?? true
        for place in resourceGroups where !ContainerCgroup.isPlace(place) {
            throw cursor.failure("\"\(place)\" is no absolute path without \"..\"")
        }
    }

    var json: JSON {
        var object = JSONObject()
        object["ociVersion"] = .string(ociVersion)
        object["id"] = .string(id)
        object["bundle"] = .string(bundle)
        object["pid"] = .integer(Int64(pid))
        object["startTime"] = .unsigned(startTime)
        object["created"] = .unsigned(created)
        let pairs = annotations.sorted { $0.key < $1.key }
        object["annotations"] = .object(JSONObject(pairs.map { (name: $0.key, value: .string($0.value)) }))
        object["rootfs"] = .string(rootfs)
        object.set("mountBelow", mountBelow)
        if !cgroup.isNone { object["cgroup"] = cgroup.json }
        object.set("resourceGroups", resourceGroups)
        object.set("describedDevices", describedDevices.map(\.json))
        if !hasHooksForItsEnd { object["poststop"] = false }
        return .object(object)
    }

    func state(_ status: ContainerState.Status) -> ContainerState {
        ContainerState(
            ociVersion: ociVersion, id: id, status: status, pid: status == .stopped ? nil : pid, bundle: bundle,
            annotations: annotations)
    }
}
