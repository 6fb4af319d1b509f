public import OCISpec

/// Turns a configuration into a ``LaunchPlan``. Pure: the same input gives the same plan, and nothing is looked up.
public struct LaunchPlanner {
    /// What the plan depends on beside the configuration.
    public struct Options: Sendable, Equatable {
        /// Against which relative paths of the configuration are read; absolute.
        public var bundle: String
        /// Wait at a gate before the program.
        public var isGated: Bool
        /// Give the container a session keyring of this name; nil leaves it the caller's.
        public var keyring: String?
        /// The container's cgroup directory, shown to a container without a cgroup namespace.
        public var cgroup: String?
        /// The same on a host with cgroup v1 only: a directory for each controller.
        public var legacyCgroups: [String: String] = [:]
        /// The kernel kills the container when the thread that launched it ends.
        public var endsWithLauncher: Bool
        /// Enter the root by pivot_root(2); false where the host runs from its first file system (initramfs).
        public var pivots = true

        public init(
            bundle: String = "/", isGated: Bool = false, keyring: String? = nil, cgroup: String? = nil,
            endsWithLauncher: Bool = false
        ) {
            self.bundle = bundle
            self.isGated = isGated
            self.keyring = keyring
            self.cgroup = cgroup
            self.endsWithLauncher = endsWithLauncher
        }
    }

    let spec: RuntimeSpec
    let linux: RuntimeSpec.Linux
    let host: HostFacts
    let options: Options
    var plan = LaunchPlan()
    var problems: [JSONError] = []
    /// A process that joins a container, instead of its first one.
    var isExec = false
    /// Mounts that become read-only when all is made in them.
    var finishedLater: [String] = []

    /// Plans a container. Throws every problem at once: what the specification rules out and what this host cannot do.
    public static func plan(
        _ spec: RuntimeSpec, host: HostFacts, options: Options = Options()
    ) throws(PlanError) -> LaunchPlan {
        var cleaned = spec
        for (index, mount) in spec.mounts.enumerated() {
            cleaned.mounts[index].destination = mount.destination.cleanPath
        }
        var planner = LaunchPlanner(
            spec: cleaned, linux: spec.linux ?? RuntimeSpec.Linux(), host: host, options: options)
        planner.problems = spec.problems()
        planner.planContainer()
        if !planner.problems.isEmpty { throw PlanError(planner.problems) }
        return planner.plan
    }

    /// Plans a further process of a container, `joining` those of its namespaces that are not the caller's.
    public static func plan(
        exec process: RuntimeSpec.Process, linux: RuntimeSpec.Linux, container: Int32, host: HostFacts,
        joining kinds: [RuntimeSpec.Namespace.Kind], keyring: String? = nil
    ) throws(PlanError) -> LaunchPlan {
        let linux = RuntimeSpec.Linux(
            seccomp: linux.seccomp, personality: linux.personality, memoryPolicy: linux.memoryPolicy)
        let spec = RuntimeSpec(process: process, linux: linux)
        var planner = LaunchPlanner(spec: spec, linux: linux, host: host, options: Options(keyring: keyring))
        planner.isExec = true
        planner.problems = process.problems(path: "process")
        // A cgroup namespace is joined by the process itself: its parent may stay outside the container's cgroup.
        if kinds.contains(.user) { planner.add(.becomeRoot(tolerant: !host.capabilities.contains(.setgid))) }
        if kinds.contains(.cgroup) { planner.add(.join(.init(.cgroup, path: "/proc/\(container)/ns/cgroup"))) }
        // A container in the caller's mount namespace has its root by chroot(2), or none of its own.
        planner.add(kinds.contains(.mount) ? .ownRoot : .rootOf(process: container))
        if process.terminal { planner.add(.console(path: nil, owner: process.user.uid)) }
        planner.planProcess(process, path: "process", ownsUserNamespace: kinds.contains(.user))
        if !planner.problems.isEmpty { throw PlanError(planner.problems) }
        return planner.plan
    }

    mutating func add(_ step: LaunchStep) { plan.steps.append(step) }

    mutating func object(_ path: String, _ message: String) {
        problems.append(JSONError(path: path, message: message))
    }

    func creates(_ kind: RuntimeSpec.Namespace.Kind) -> Bool {
        linux.namespaces.contains { $0.kind == kind && $0.path == nil }
    }

    func joins(_ kind: RuntimeSpec.Namespace.Kind) -> Bool {
        linux.namespaces.contains { $0.kind == kind && $0.path != nil }
    }

    func has(_ kind: RuntimeSpec.Namespace.Kind) -> Bool { creates(kind) || joins(kind) }

    private mutating func planContainer() {
        planNamespaces()
        if joins(.mount), !changesMounts { planOwnRoot() } else { planRoot() }
        planNames()
        if let process = spec.process {
            planProcess(process, path: "process", ownsUserNamespace: has(.user))
        } else if options.isGated {
            planWithoutProcess()
        } else {
            object("process", "is missing: there is no program to run")
        }
    }

    private mutating func planNamespaces() {
        // Two kinds are made by the process itself: the cgroup namespace takes the cgroup one is in as its root, and
        // a time namespace takes offsets only while nobody is in it.
        plan.created = RuntimeSpec.Namespace.Kind.allCases.filter { creates($0) && $0 != .cgroup && $0 != .time }
        let joined = linux.namespaces.filter { $0.path != nil && $0.kind != .cgroup }
        // The user namespace last: with it go the rights over namespaces that belong to the host's.
        plan.joined = joined.filter { $0.kind != .user } + joined.filter { $0.kind == .user }
        plan.uidMappings = linux.uidMappings
        plan.gidMappings = linux.gidMappings
        if creates(.user), !host.userNamespaces {
            object("linux.namespaces", "this host allows no user namespace (sysctl user.max_user_namespaces)")
        }
        if creates(.time) { add(.timeNamespace(linux.timeOffsets)) }
        if has(.user) {
            add(.becomeRoot(tolerant: !host.capabilities.contains(.setgid)))
        } else if !host.capabilities.contains(.sysAdmin) {
            object("linux.namespaces", "this process lacks CAP_SYS_ADMIN, so a user namespace is needed")
        }
        if creates(.cgroup) { add(.unshareCgroup) }
        if let cgroup = linux.namespaces.first(where: { $0.kind == .cgroup && $0.path != nil }) { add(.join(cgroup)) }
        plan.networkDevices = linux.netDevices
    }

    /// Whether there is anything to be done to a mount namespace. One that is joined and needs nothing stays as it is, with the
    /// root it has; any other gets the container's root, and loses what it had.
    private var changesMounts: Bool {
        !spec.mounts.isEmpty || !linux.devices.isEmpty || !linux.maskedPaths.isEmpty || !linux.readonlyPaths.isEmpty
            || spec.root?.readonly == true
    }

    private mutating func planNames() {
        if let name = spec.hostname { add(.hostName(name)) }
        if let name = spec.domainname { add(.domainName(name)) }
        for (name, value) in linux.sysctl.sorted(by: { $0.key < $1.key }) {
            add(.sysctl(name: name, value: value))
        }
        if creates(.network) { add(.loopback) }
    }
}
