internal import OCISpec

extension LaunchPlanner {
    /// From a process in the container's namespaces to its program. The order is the kernel's: each right is used for
    /// the last time before it is given up.
    mutating func planProcess(_ process: RuntimeSpec.Process, path: String, ownsUserNamespace: Bool) {
        plan.oomScoreAdjustment = process.oomScoreAdj
        checkIDs(process.user, path: "\(path).user")
        add(.session)
        planKeyring(process)
        for limit in process.rlimits { add(.resourceLimit(limit)) }
        planScheduling(process, path: path)
        planLabels(process, path: path)
        add(.streams(owner: process.user.uid))
        add(.fileMask(process.user.umask ?? 0o022))
        add(.workingDirectory(process.cwd, early: true))

        var masks = capabilities(process.capabilities ?? .init(), path: path, ownsUserNamespace: ownsUserNamespace)
        add(.boundingSet(masks.bounding))
        let notifies = linux.seccomp.map(SeccompFilter.notifies) ?? false
        let filter = seccompFlags(notifies: notifies)
        // Without no_new_privs only CAP_SYS_ADMIN may load a filter. It is kept for that, out of effect: execve(2) gives the
        // program what the other sets make of it, whatever was permitted before.
        let raises = filter != nil && !process.noNewPrivileges
        if raises { masks.sets.permitted |= CapabilitySet([.sysAdmin]).rawValue }
        add(.user(process.user, tolerant: !host.capabilities.contains(.setgid)))
        add(.capabilities(masks.sets))
        // The kernel forgets it whenever ids change or capabilities grow.
        if options.endsWithLauncher { add(.endWithLauncher) }
        add(.workingDirectory(process.cwd, early: false))
        if process.noNewPrivileges { add(.noNewPrivileges) }
        planProgram(process, path: path)
        // A listener is handed on by whoever launches, who is gone once the gate is passed.
        if notifies, let filter { add(.seccomp(flags: filter, raises: raises, last: false)) }
        if options.isGated { add(.gate) }
        if let hooks = spec.hooks, !hooks.startContainer.isEmpty {
            add(.hooks(stage: "startContainer", directory: "/", hooks.startContainer))
        }
        if !notifies, let filter { add(.seccomp(flags: filter, raises: raises, last: true)) }
        add(.execute(arguments: process.args, environment: EnvironmentVariables.lastOfEach(process.env)))
    }

    /// Only the start of a container needs a process (runtime-spec, config.md). What waits at the gate until then holds its
    /// namespaces, without any right.
    mutating func planWithoutProcess() {
        add(.session)
        planKeyring(.init())
        add(.streams(owner: 0))
        add(.boundingSet(0))
        add(.capabilities(.init(effective: 0, permitted: 0, inheritable: 0, ambient: 0)))
        add(.noNewPrivileges)
        add(.gate)
    }

    /// An id that the new user namespace does not have would be refused by the kernel only when all else is done.
    private mutating func checkIDs(_ user: RuntimeSpec.User, path: String) {
        guard creates(.user) else { return }
        func isMapped(_ id: UInt32, _ mappings: [RuntimeSpec.IDMap]) -> Bool {
            mappings.contains { id >= $0.containerID && id - $0.containerID < $0.size }
        }
        let groups = user.additionalGids.enumerated().map { ("additionalGids[\($0)]", $1, linux.gidMappings) }
        for (name, id, mappings) in [("uid", user.uid, linux.uidMappings), ("gid", user.gid, linux.gidMappings)]
            + groups
        where !isMapped(id, mappings) {
            let list = name == "uid" ? "linux.uidMappings" : "linux.gidMappings"
            object("\(path).\(name)", "\(id) is not in \(list)")
        }
    }

    private mutating func planKeyring(_ process: RuntimeSpec.Process) {
        guard let keyring = options.keyring else { return }
        guard let label = process.selinuxLabel, !label.isEmpty else { return add(.keyring(keyring)) }
        add(.ownAttribute(name: "attr/keycreate", value: label))
        add(.keyring(keyring))
        add(.ownAttribute(name: "attr/keycreate", value: ""))
    }

    private mutating func seccompFlags(notifies: Bool) -> UInt64? {
        guard let seccomp = linux.seccomp else { return nil }
        if host.seccompActions.isEmpty { object("linux.seccomp", "this host's kernel has no seccomp filters") }
        plan.seccomp = seccomp
        let flags: UInt32
        do throws(SeccompError) {
            flags = try SeccompFilter.flags(seccomp)
            try SeccompFilter.checkNotification(seccomp)
        } catch {
            object(error.field.isEmpty ? "linux.seccomp" : "linux.seccomp.\(error.field)", error.reason)
            return nil
        }
        return UInt64(flags)
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
        warn("effective", bits(wanted.effective) & ~permitted, "it is not permitted", path)
        warn("ambient", bits(wanted.ambient) & ~(permitted & inheritable), "it is not permitted and inheritable", path)
        return (sets, bounding)
    }

    /// The kernel has these only together with others.
    private mutating func warn(_ set: String, _ lost: UInt64, _ reason: String, _ path: String) {
        for name in CapabilitySet(rawValue: lost).names {
            plan.warnings.append("\(path).capabilities.\(set): \(name) is left out, since \(reason)")
        }
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
        planAffinity(process.execCPUAffinity, path: "\(path).execCPUAffinity")
        if let personality = linux.personality {
            check(personality.domain, in: SchedulingValues.personalities.keys, "linux.personality.domain")
            for flag in personality.flags {
                check(flag, in: SchedulingValues.personalityFlags.keys, "linux.personality.flags")
            }
            add(.personality(personality))
        }
        if let policy = linux.memoryPolicy { planMemoryPolicy(policy) }
    }

    /// Of processes that join a container; the specification has no affinity for its first one.
    private mutating func planAffinity(_ affinity: RuntimeSpec.CPUAffinity?, path: String) {
        guard let affinity else { return }
        for (name, list) in [("initial", affinity.initial), ("final", affinity.final)] {
            guard let list, !list.isEmpty, BitList(list) == nil else { continue }
            object("\(path).\(name)", "\"\(list)\" is no list of processors")
        }
        guard isExec else { return }
        if let initial = affinity.initial, !initial.isEmpty { plan.initialAffinity = initial }
        if let final = affinity.final, !final.isEmpty { add(.affinity(final)) }
    }

    private mutating func planMemoryPolicy(_ policy: RuntimeSpec.MemoryPolicy) {
        check(policy.mode, in: SchedulingValues.memoryModes.keys, "linux.memoryPolicy.mode")
        for flag in policy.flags { check(flag, in: SchedulingValues.memoryFlags.keys, "linux.memoryPolicy.flags") }
        let nodes = policy.nodes ?? ""
        if !nodes.isEmpty, BitList(nodes) == nil {
            object("linux.memoryPolicy.nodes", "\"\(nodes)\" is no list of memory nodes")
        }
        let takesNone = ["MPOL_DEFAULT", "MPOL_LOCAL"].contains(policy.mode)
        if takesNone, !nodes.isEmpty { object("linux.memoryPolicy.nodes", "\(policy.mode) takes no nodes") }
        if !takesNone, nodes.isEmpty, policy.mode != "MPOL_PREFERRED" {
            object("linux.memoryPolicy.nodes", "\(policy.mode) needs at least one node")
        }
        let flags = Set(policy.flags)
        if flags.isSuperset(of: ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]) {
            object("linux.memoryPolicy.flags", "nodes are either static or relative")
        }
        add(.memoryPolicy(policy))
    }

    private mutating func check(_ name: String, in known: some Collection<String>, _ path: String) {
        if !known.contains(name) {
            object(path, "\"\(name)\" is not known (\(known.sorted().joined(separator: ", ")))")
        }
    }

    private mutating func planLabels(_ process: RuntimeSpec.Process, path: String) {
        if let profile = process.apparmorProfile, !profile.isEmpty,
            requireModule("apparmor", "\(path).apparmorProfile")
        {
            add(.ownAttribute(name: "attr/apparmor/exec", value: "exec \(profile)"))
        }
        if let label = process.selinuxLabel, !label.isEmpty, requireModule("selinux", "\(path).selinuxLabel") {
            add(.ownAttribute(name: "attr/exec", value: label))
        }
    }
}
