extension RuntimeSpec {
    /// Everything in this configuration that the specification or the kernel rules out, each with its JSON path, found
    /// without looking at the host. Empty when there is nothing to object to.
    public func problems() -> [JSONError] {
        var found: [JSONError] = []
        func object(_ path: String, _ message: String) { found.append(JSONError(path: path, message: message)) }

        switch SpecVersion.major(of: ociVersion) {
        case 1: break
        case nil: object("ociVersion", "\"\(ociVersion)\" is no version such as 1.0.2 (semver.org)")
        default: object("ociVersion", "\"\(ociVersion)\" is not supported (from 1.0.0 on all below 2.0.0 are)")
        }
        if annotations[""] != nil { object("annotations", "has a member without a name") }
        if let root, root.path.isEmpty { object("root.path", "is empty") }
        if root == nil { object("root", "is missing") }
        if let process { found += process.problems(path: "process") }
        for (index, mount) in mounts.enumerated() { found += mount.problems(path: "mounts[\(index)]") }
        if let hooks { found += hooks.problems() }
        if let linux { found += problems(of: linux) }
        for (path, text) in [("hostname", hostname), ("domainname", domainname)] {
            guard let text else { continue }
            if text.utf8.count > 64 { object(path, "is longer than the kernel's 64 bytes") }
            if !has(.uts) { object(path, "needs a uts namespace, and linux.namespaces has none") }
        }
        return found
    }

    private func has(_ kind: Namespace.Kind) -> Bool { linux?.namespaces.contains { $0.kind == kind } ?? false }

    private func problems(of linux: Linux) -> [JSONError] {
        var found: [JSONError] = []
        func object(_ path: String, _ message: String) {
            found.append(JSONError(path: "linux.\(path)", message: message))
        }
        for (index, namespace) in linux.namespaces.enumerated() {
            if linux.namespaces[..<index].contains(where: { $0.kind == namespace.kind }) {
                object("namespaces[\(index)]", "the \(namespace.kind.rawValue) namespace is named twice")
            }
            if let path = namespace.path, !path.hasPrefix("/") {
                object("namespaces[\(index)].path", "\"\(path)\" is not absolute")
            }
        }
        for (name, mappings) in [("uidMappings", linux.uidMappings), ("gidMappings", linux.gidMappings)] {
            if !mappings.isEmpty, !has(.user) { object(name, "needs a user namespace in linux.namespaces") }
            found += Self.problems(of: mappings, path: "linux.\(name)")
        }
        let newUser = linux.namespaces.contains { $0.kind == .user && $0.path == nil }
        if newUser, linux.uidMappings.isEmpty || linux.gidMappings.isEmpty {
            object("namespaces", "a new user namespace needs linux.uidMappings and linux.gidMappings")
        }
        if !linux.timeOffsets.isEmpty {
            if !has(.time) { object("timeOffsets", "needs a time namespace in linux.namespaces") }
            if linux.namespaces.contains(where: { $0.kind == .time && $0.path != nil }) {
                object("timeOffsets", "is for a new time namespace, and linux.namespaces joins one that has its own")
            }
        }
        for clock in linux.timeOffsets.keys.sorted() where clock != "monotonic" && clock != "boottime" {
            object("timeOffsets.\(clock)", "is no clock (monotonic, boottime)")
        }
        for (index, device) in linux.devices.enumerated() {
            let path = "devices[\(index)]"
            if !["c", "u", "b", "p"].contains(device.type) {
                object("\(path).type", "\"\(device.type)\" is no device type (c, u, b, p)")
            } else if device.type != "p", device.major == nil || device.minor == nil {
                object(path, "needs major and minor")
            }
            for (name, number, highest) in [("major", device.major, 4095), ("minor", device.minor, 1_048_575)] {
                guard let number, !(0...Int64(highest)).contains(number) else { continue }
                object("\(path).\(name)", "\(number) is not in 0 to \(highest)")
            }
            if !device.path.hasPrefix("/") { object("\(path).path", "\"\(device.path)\" is not absolute") }
        }
        if let cgroupsPath = linux.cgroupsPath, cgroupsPath.split(separator: "/").contains("..") {
            object("cgroupsPath", "\"\(cgroupsPath)\" contains \"..\"")
        }
        for name in linux.sysctl.keys.sorted() {
            if let reason = KernelParameter.objection(name, has: has) { object("sysctl.\(name)", reason) }
            if KernelParameter.path(name) == "kernel/hostname", hostname != nil {
                object("sysctl.\(name)", "is set by hostname already")
            }
            if KernelParameter.path(name) == "kernel/domainname", let domainname, domainname != linux.sysctl[name] {
                object("sysctl.\(name)", "is set to \"\(domainname)\" by domainname")
            }
        }
        found += linux.netDeviceProblems(hasNetwork: has(.network))
        if let settings = linux.intelRdt { found += settings.problems() }
        if let propagation = linux.rootfsPropagation,
            !["private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"]
                .contains(propagation)
        {
            object("rootfsPropagation", "\"\(propagation)\" is no mount propagation")
        }
        for (name, paths) in [("maskedPaths", linux.maskedPaths), ("readonlyPaths", linux.readonlyPaths)] {
            for (index, path) in paths.enumerated() where !path.hasPrefix("/") {
                object("\(name)[\(index)]", "\"\(path)\" is not absolute")
            }
        }
        return found
    }

    static func problems(of mappings: [IDMap], path: String) -> [JSONError] {
        var found: [JSONError] = []
        for (index, map) in mappings.enumerated() {
            let place = "\(path)[\(index)]"
            if map.size == 0 { found.append(JSONError(path: "\(place).size", message: "is 0")) }
            for (name, first) in [("containerID", map.containerID), ("hostID", map.hostID)]
            where first.addingReportingOverflow(map.size == 0 ? 0 : map.size - 1).overflow {
                found.append(JSONError(path: "\(place).\(name)", message: "the range ends above 4294967295"))
            }
        }
        return found
    }
}

extension RuntimeSpec.Process {
    /// See ``RuntimeSpec/problems()``; `path` is where this process stands in its document.
    public func problems(path: String) -> [JSONError] {
        var found: [JSONError] = []
        func object(_ name: String, _ message: String) {
            found.append(JSONError(path: path.isEmpty ? name : "\(path).\(name)", message: message))
        }
        if args.isEmpty { object("args", "is empty, so there is no command to run") }
        if !cwd.hasPrefix("/") { object("cwd", "\"\(cwd)\" is not absolute") }
        if cwd.utf8.contains(0) { object("cwd", "contains NUL") }
        for (index, text) in args.enumerated() where text.utf8.contains(0) { object("args[\(index)]", "contains NUL") }
        for (index, text) in env.enumerated() {
            if text.utf8.contains(0) { object("env[\(index)]", "contains NUL") }
            if !text.contains("=") { object("env[\(index)]", "\"\(text)\" is not of the form NAME=VALUE") }
        }
        for (index, limit) in rlimits.enumerated() {
            if !RuntimeSpec.ResourceLimit.numbers.keys.contains(limit.type) {
                object("rlimits[\(index)].type", "\"\(limit.type)\" is no resource limit of setrlimit(2)")
            }
            if limit.soft > limit.hard { object("rlimits[\(index)].soft", "is above the hard limit") }
            if rlimits[..<index].contains(where: { $0.type == limit.type }) {
                object("rlimits[\(index)].type", "\(limit.type) is set twice")
            }
        }
        let ids =
            [("uid", user.uid), ("gid", user.gid)]
            + user.additionalGids.enumerated().map { ("additionalGids[\($0)]", $1) }
        for (name, id) in ids where id == .max {
            // To the kernel it is "no change", which would leave the ids of the runtime.
            object("user.\(name)", "\(id) is no id: 4294967294 is the highest")
        }
        if let umask = user.umask, umask > 0o7777 { object("user.umask", "\(umask) is no file mode mask") }
        if let adjustment = oomScoreAdj, !(-1000...1000).contains(adjustment) {
            object("oomScoreAdj", "\(adjustment) is not in -1000 to 1000")
        }
        if let scheduler {
            found += scheduler.problems(path: path.isEmpty ? "scheduler" : "\(path).scheduler")
        }
        return found
    }
}

extension RuntimeSpec.Scheduler {
    /// What the kernel would cut to size or pass over. Zero is what callers write for what they do not set.
    fileprivate func problems(path: String) -> [JSONError] {
        var found: [JSONError] = []
        func object(_ name: String, _ message: String) {
            found.append(JSONError(path: "\(path).\(name)", message: message))
        }
        if let nice, policy == "SCHED_OTHER" || policy == "SCHED_BATCH", !(-20...19).contains(nice) {
            object("nice", "\(nice) is not in -20 to 19")
        }
        if let priority, priority != 0, policy != "SCHED_FIFO", policy != "SCHED_RR" {
            object("priority", "is for SCHED_FIFO and SCHED_RR, and the policy is \(policy)")
        }
        for (name, time) in [("runtime", runtime), ("deadline", deadline), ("period", period)]
        where (time ?? 0) != 0 && policy != "SCHED_DEADLINE" {
            object(name, "is for SCHED_DEADLINE, and the policy is \(policy)")
        }
        return found
    }
}

extension RuntimeSpec.ResourceLimit {
    /// The kernel's number of each resource (setrlimit(2)).
    public static let numbers: [String: Int32] = [
        "RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4, "RLIMIT_RSS": 5,
        "RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9, "RLIMIT_LOCKS": 10,
        "RLIMIT_SIGPENDING": 11, "RLIMIT_MSGQUEUE": 12, "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14, "RLIMIT_RTTIME": 15,
    ]
}

extension RuntimeSpec.Mount {
    fileprivate func problems(path: String) -> [JSONError] {
        var found: [JSONError] = []
        if destination.isEmpty { found.append(JSONError(path: "\(path).destination", message: "is empty")) }
        if destination.utf8.contains(0) {
            found.append(JSONError(path: "\(path).destination", message: "contains NUL"))
        }
        found += RuntimeSpec.problems(of: uidMappings, path: "\(path).uidMappings")
        found += RuntimeSpec.problems(of: gidMappings, path: "\(path).gidMappings")
        if uidMappings.isEmpty != gidMappings.isEmpty {
            found.append(JSONError(path: path, message: "needs both uidMappings and gidMappings, or neither"))
        }
        return found
    }
}

extension RuntimeSpec.Hooks {
    fileprivate func problems() -> [JSONError] {
        let lists = [
            ("prestart", prestart), ("createRuntime", createRuntime), ("createContainer", createContainer),
            ("startContainer", startContainer), ("poststart", poststart), ("poststop", poststop),
        ]
        var found: [JSONError] = []
        for (name, hooks) in lists {
            for (index, hook) in hooks.enumerated() {
                if !hook.path.hasPrefix("/") {
                    found.append(
                        JSONError(path: "hooks.\(name)[\(index)].path", message: "\"\(hook.path)\" is not absolute"))
                }
                if let timeout = hook.timeout, timeout <= 0 {
                    found.append(
                        JSONError(path: "hooks.\(name)[\(index)].timeout", message: "\(timeout) is not above 0"))
                }
            }
        }
        return found
    }
}
