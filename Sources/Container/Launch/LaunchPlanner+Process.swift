internal import OCISpec

extension LaunchPlanner {
    /// From a process in the container's namespaces to its program. The order is the kernel's: each right is used for
    /// the last time before it is given up.
    mutating func planProcess(_ process: RuntimeSpec.Process, path: String, ownsUserNamespace: Bool) {
        plan.oomScoreAdjustment = process.oomScoreAdj
        add(.session)
        if let keyring = options.keyring { add(.keyring(keyring)) }
        for limit in process.rlimits { add(.resourceLimit(limit)) }
        planScheduling(process, path: path)
        planLabels(process, path: path)
        add(.streams(owner: process.user.uid))
        add(.fileMask(process.user.umask ?? 0o022))
        add(.workingDirectory(process.cwd, early: true))

        let masks = capabilities(process.capabilities ?? .init(), path: path, ownsUserNamespace: ownsUserNamespace)
        add(.boundingSet(masks.bounding))
        let filter = seccompStep()
        // Without no_new_privs only CAP_SYS_ADMIN may load a filter, which goes next.
        if !process.noNewPrivileges, let filter { add(filter) }
        add(.user(process.user))
        add(.capabilities(masks.sets))
        // The kernel forgets it whenever ids change or capabilities grow.
        if options.endsWithLauncher { add(.endWithLauncher) }
        add(.workingDirectory(process.cwd, early: false))
        if process.noNewPrivileges { add(.noNewPrivileges) }
        planProgram(process, path: path)
        if options.isGated { add(.gate) }
        if let hooks = spec.hooks, !hooks.startContainer.isEmpty {
            add(.hooks(stage: "startContainer", hooks.startContainer))
        }
        if process.noNewPrivileges, let filter { add(filter) }
        add(.execute(arguments: process.args, environment: process.env))
    }

    private mutating func seccompStep() -> LaunchStep? {
        guard let seccomp = linux.seccomp else { return nil }
        if seccomp.listenerPath != nil {
            object("linux.seccomp.listenerPath", "seccomp notification is not supported")
        }
        if host.seccompActions.isEmpty { object("linux.seccomp", "this host's kernel has no seccomp filters") }
        plan.seccomp = seccomp
        do throws(SeccompError) {
            return .seccomp(UInt64(try SeccompFilter.flags(seccomp)))
        } catch {
            object("linux.seccomp.flags", "\(error)")
            return nil
        }
    }

    // MARK: Program

    private static let standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    private mutating func planProgram(_ process: RuntimeSpec.Process, path: String) {
        guard let name = process.args.first, !name.isEmpty else {
            return object("\(path).args", "is empty: there is no program to run")
        }
        var candidates = [name]
        if !name.utf8.contains(UInt8(ascii: "/")) {
            // The last of several wins, as in a shell that was given the list.
            let variable = process.env.last { $0.hasPrefix("PATH=") }?.dropFirst("PATH=".count)
            let directories = (variable.map(String.init) ?? Self.standardPath)
                .split(separator: ":", omittingEmptySubsequences: false)
            candidates = directories.map { $0.isEmpty ? "./\(name)" : "\($0)/\(name)" }
        }
        add(.findProgram(name: name, candidates: candidates))
    }

    // MARK: Capabilities

    private mutating func capabilities(
        _ wanted: RuntimeSpec.Capabilities, path: String, ownsUserNamespace: Bool
    ) -> (sets: CapabilityMasks, bounding: UInt64) {
        // The first process of a user namespace has every capability in it, whatever its maker had.
        let available =
            ownsUserNamespace ? CapabilitySet.all.upTo(host.lastCapability) : host.capabilities
        var missing: Set<String> = []
        func bits(_ names: [String]) -> UInt64 {
            var set = CapabilitySet.none
            for name in names {
                guard let capability = Capability(named: name), available.contains(capability) else {
                    missing.insert(name)
                    continue
                }
                set.formUnion(CapabilitySet([capability]))
            }
            return set.rawValue
        }
        let permitted = bits(wanted.permitted)
        let inheritable = bits(wanted.inheritable)
        let sets = CapabilityMasks(
            effective: bits(wanted.effective) & permitted, permitted: permitted, inheritable: inheritable,
            ambient: bits(wanted.ambient) & permitted & inheritable)
        let bounding = bits(wanted.bounding)
        for name in missing.sorted() {
            let reason = Capability(named: name) == nil ? "is no capability" : "cannot be granted on this host"
            plan.warnings.append("\(path).capabilities: \(name) \(reason) and is left out")
        }
        return (sets, bounding)
    }

    // MARK: Scheduling and labels

    private mutating func planScheduling(_ process: RuntimeSpec.Process, path: String) {
        if let scheduler = process.scheduler {
            check(scheduler.policy, in: SchedulingValues.policies.keys, "\(path).scheduler.policy")
            for flag in scheduler.flags {
                check(flag, in: SchedulingValues.schedulerFlags.keys, "\(path).scheduler.flags")
            }
            add(.scheduler(scheduler))
        }
        if let priority = process.ioPriority {
            check(priority.ioClass, in: SchedulingValues.ioClasses.keys, "\(path).ioPriority.class")
            if !(0...7).contains(priority.priority) {
                object("\(path).ioPriority.priority", "\(priority.priority) is not in 0 to 7")
            }
            add(.ioPriority(priority))
        }
        if let affinity = process.execCPUAffinity?.final {
            if BitList(affinity) == nil {
                object("\(path).execCPUAffinity.final", "\"\(affinity)\" is no list of processors")
            }
            add(.affinity(affinity))
        }
        if let personality = linux.personality {
            check(personality.domain, in: SchedulingValues.personalities.keys, "linux.personality.domain")
            for flag in personality.flags { object("linux.personality.flags", "\"\(flag)\" is not supported") }
            add(.personality(personality))
        }
        if let policy = linux.memoryPolicy {
            check(policy.mode, in: SchedulingValues.memoryModes.keys, "linux.memoryPolicy.mode")
            for flag in policy.flags { check(flag, in: SchedulingValues.memoryFlags.keys, "linux.memoryPolicy.flags") }
            if let nodes = policy.nodes, BitList(nodes) == nil {
                object("linux.memoryPolicy.nodes", "\"\(nodes)\" is no list of memory nodes")
            }
            add(.memoryPolicy(policy))
        }
    }

    private mutating func check(_ name: String, in known: some Collection<String>, _ path: String) {
        if !known.contains(name) {
            object(path, "\"\(name)\" is not known (\(known.sorted().joined(separator: ", ")))")
        }
    }

    private mutating func planLabels(_ process: RuntimeSpec.Process, path: String) {
        if let profile = process.apparmorProfile, !profile.isEmpty {
            refuseLabel("\(path).apparmorProfile", module: "apparmor")
            add(.ownAttribute(name: "attr/apparmor/exec", value: "exec \(profile)"))
        }
        if let label = process.selinuxLabel, !label.isEmpty {
            refuseLabel("\(path).selinuxLabel", module: "selinux")
            add(.ownAttribute(name: "attr/exec", value: label))
        }
    }
}
