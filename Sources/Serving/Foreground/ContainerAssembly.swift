internal import CLinux
internal import Container
internal import Glibc
internal import ImageStore
internal import LinuxSystem
internal import OCISpec

/// Puts together what a container is launched from: its root file system, its files under /etc, its plan and its cgroup.
/// The same for a replica of a service and for a container in the foreground. May run on any thread.
struct ContainerAssembly: Sendable {
    let directories: MLRunDirectories
    let host: HostSnapshot
    let settings: ServiceSettings
    let image: ImageRecord
    let files: ReplicaFiles
    /// The processors of other replicas.
    let taken: Set<Int>

    /// A container that only needs its streams to be launched.
    struct Prepared {
        var request: LaunchRequest
        let build: ContainerBuild
        let cgroup: Cgroup
        let warnings: [String]
        /// The network to attach when the namespaces are there; nil for one of loopback only, or the host's.
        let network: ReplicaNetwork?

        /// For a launch that failed.
        func discardCgroup() {
            try? cgroup.kill()
            _ = try? cgroup.waitUntilEmpty(deadline: mlr_monotonic_nanoseconds() + 5_000_000_000)
            try? cgroup.remove()
        }
    }

    /// - Parameters:
    ///   - endsWithLauncher: the container is killed when the thread that launches it ends.
    ///   - mounted: called once the root file system is mounted, for those who measure.
    func prepare(
        _ id: ReplicaID, slot: Int, terminal: Bool = false, endsWithLauncher: Bool = false, mounted: () -> Void = {}
    ) throws(ControlError) -> Prepared {
        let network: ReplicaNetwork? =
            settings.network == .bridge
            ? try ReplicaNetwork(id, settings, files, cgroup: host.cgroupPath(id)) : nil
        do throws(SystemError) {
            for directory in [files.directory, files.scratch, files.etc] {
                try File.makeDirectories(directory, mode: 0o700)
            }
        } catch {
            throw ControlError(error)
        }
        let root = try mountRoot(try userNamespace(slot))
        mounted()
        let build = try self.build(id, slot: slot, root: root, terminal: terminal)
        let plan: LaunchPlan
        // What the caller's session may read of the kernel's keys is not the container's business.
        let options = LaunchPlanner.Options(keyring: Self.keyring(of: id), endsWithLauncher: endsWithLauncher)
        do throws(PlanError) { plan = try LaunchPlanner.plan(build.spec, host: host.facts, options: options) } catch {
            throw ControlError("the container cannot be made on this host: \(error)")
        }
        let (cgroup, warnings) = try makeCgroup(build.spec, id, given: build.deviceRules)
        var request = LaunchRequest(plan: plan, root: .mount(root))
        if build.spec.hooks != nil {
            request.hookState = ContainerState(id: id.rawValue, status: .creating, bundle: files.directory)
        }
        request.seccompCache = directories.seccompCache
        request.preparedMounts = .standard
        do throws(CgroupError) { request.cgroup = SharedDescriptor(try cgroup.openDirectory()) } catch {
            throw ControlError(error.cause, remedy: error.remedy)
        }
        return Prepared(request: request, build: build, cgroup: cgroup, warnings: warnings, network: network)
    }

    /// The name of a container's session keyring.
    static func keyring(of id: ReplicaID) -> String { "_ses.\(id)" }

    static func failure(_ error: LaunchError) -> ControlError {
        let remedy: String? =
            switch error {
            case .programNotFound: "check the command, or the image's Entrypoint and Cmd with `mlrun inspect`"
            case .programNotExecutable: "the file must be executable and made for this processor"
            default: nil
            }
        return ControlError(error.description, remedy: remedy, exitCode: error.exitCode)
    }

    private func userNamespace(_ slot: Int) throws(ControlError) -> OwnerMapping? {
        if settings.usesHostUserNamespace { return nil }
        let range = HostSnapshot.userRange(slot)
        do throws(SystemError) {
            let namespace = SharedDescriptor(try UserNamespace.make(uid: [range], gid: [range]))
            return OwnerMapping(userNamespace: namespace, rootUID: range.hostID, rootGID: range.hostID)
        } catch {
            throw ControlError(error, remedy: "this kernel may forbid user namespaces: try --userns host")
        }
    }

    /// Writable also for a container that may not write: what is mounted in it may need directories that the image lacks.
    /// The last step of the plan's mounts makes it read-only.
    private func mountRoot(_ mapping: OwnerMapping?) throws(ControlError) -> SharedDescriptor {
        do throws(StoreError) {
            let store = try ImageStore(directories)
            return SharedDescriptor(
                try store.mountRoot(
                    of: image, scratch: files.scratch, idMapping: mapping, readOnly: false, volatile: false))
        } catch {
            throw ControlError(error.description, remedy: error.remedy)
        }
    }

    private func build(
        _ id: ReplicaID, slot: Int, root: SharedDescriptor, terminal: Bool
    ) throws(ControlError) -> ContainerBuild {
        var facts = host.buildFacts(
            id, slot: slot, taken: taken, devices: settings.limits.ioDevices)
        facts.terminal = terminal
        do throws(SystemError) {
            let etc = EtcFiles(directory: files.etc)
            try etc.write(hostname: settings.hostname ?? id.rawValue, network: settings.network)
            facts.hostsFile = etc.hosts
            facts.hostnameFile = etc.hostname
            facts.resolverFile = etc.resolver
        } catch {
            throw ControlError(error)
        }
        do throws(BuildError) {
            var build = try ContainerBuilder.build(image.configuration, settings, facts)
            let user: ResolvedUser
            do throws(UserError) { user = try UserLookup.resolve(build.user, root: root.rawValue) } catch {
                throw BuildError("user", error.description, remedy: "give a user of the image, or numbers, with --user")
            }
            build.resolve(user)
            if !settings.usesHostUserNamespace { try Self.check(build.spec.process?.user, facts.userRange) }
            try addDescribedDevices(to: &build)
            return build
        } catch {
            throw ControlError(error.message, remedy: error.remedy)
        }
    }

    private static func check(
        _ user: RuntimeSpec.User?, _ range: RuntimeSpec.IDMap
    ) throws(BuildError) {
        guard let user else { return }
        let remedy = "give another with --user, or leave the user namespace with --userns host"
        guard user.uid < range.size, user.gid < range.size else {
            throw BuildError(
                "user",
                "the user \(user.uid):\(user.gid) is outside of the \(range.size) ids of the container's user namespace",
                remedy: remedy)
        }
        if let group = user.additionalGids.first(where: { $0 >= range.size }) {
            throw BuildError(
                "user",
                "the user's further group \(group) is outside of the \(range.size) ids of the container's user namespace",
                remedy: remedy)
        }
    }

    private func makeCgroup(
        _ spec: RuntimeSpec, _ id: ReplicaID, given: [RuntimeSpec.Resources.DeviceRule]
    ) throws(ControlError) -> (Cgroup, [String]) {
        let isLimited = settings.usesHostUserNamespace || !settings.devices.isEmpty || !given.isEmpty
        let rules = isLimited ? try deviceRules(given) : nil
        do throws(CgroupError) {
            let path = host.cgroupPath(id)
            let old = try host.hierarchy.group(at: path)
            if old.exists {
                try old.kill()
                _ = try old.waitUntilEmpty(deadline: mlr_monotonic_nanoseconds() + 5_000_000_000)
                try old.remove()
            }
            let (cgroup, warnings) = try Self.createCgroup(path, spec, settings, host)
            guard let rules else { return (cgroup, warnings) }
            do throws(CgroupError) { try DeviceFilter.apply(rules, to: cgroup) } catch {
                try? cgroup.remove()
                throw error
            }
            return (cgroup, warnings)
        } catch {
            throw ControlError(LimitOptions.told(error.cause), remedy: error.remedy)
        }
    }

    private static func createCgroup(
        _ path: String, _ spec: RuntimeSpec, _ settings: ServiceSettings, _ host: HostSnapshot
    ) throws(CgroupError) -> (Cgroup, [String]) {
        let policy: LimitPolicy = settings.limitPolicy == .strict ? .strict : .bestEffort
        var resources = spec.linux?.resources ?? .init()
        if settings.limits.pids == ResourceLimits.defaultPids, host.facts.controllers?.contains("pids") != true {
            // Nobody asked for the default: a host that cannot limit processes starts the service all the same.
            resources.pids = nil
        }
        let created = try host.hierarchy.create(path, resources: resources, policy: policy)
        return (created.cgroup, created.warnings.map(LimitOptions.told))
    }

    /// Sets the limits on a group that is removed again, so that one that cannot be had is known before anything changes.
    static func rehearseLimits(
        of spec: RuntimeSpec, _ settings: ServiceSettings, _ host: HostSnapshot
    ) throws(ControlError) {
        do throws(CgroupError) {
            let path = host.cgroupPath(ReplicaID("rehearsal-\(File.randomName())"))
            try createCgroup(path, spec, settings, host).0.remove()
        } catch {
            throw ControlError(LimitOptions.told(error.cause), remedy: error.remedy)
        }
    }

    /// Outside of a user namespace a container with the right to make device nodes could reach every disk: only the devices
    /// it was given, and those that every container has, can be opened.
    private func deviceRules(
        _ given: [RuntimeSpec.Resources.DeviceRule]
    ) throws(ControlError) -> [RuntimeSpec.Resources.DeviceRule] {
        var rules: [RuntimeSpec.Resources.DeviceRule] = [.init(allow: false, access: "rwm")] + given
        do throws(SystemError) {
            for device in settings.devices {
                let node = try HostDevice(lookingUp: device.source)
                let nodes = if let node { [node] } else { try HostDevice.all(below: device.source) }
                rules += nodes.filter { $0.kind != .fifo }.map { $0.rule(access: device.permissions) }
            }
        } catch {
            throw ControlError(error, remedy: "name devices of this host with --device")
        }
        return DeviceRules.complete(rules)
    }
}
