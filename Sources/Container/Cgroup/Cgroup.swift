internal import CLinux
internal import Glibc
public import LinuxSystem

/// One group of the cgroup2 hierarchy, named by its directory. A value of this type owns nothing: the group lives until
/// it is removed.
public struct Cgroup: Sendable, Hashable {
    /// The directory, as an absolute path.
    public let path: String

    public init(path: String) { self.path = path }

    /// Whether the group has been made, and not yet been removed.
    public var exists: Bool { File.exists(path + "/cgroup.procs") }

    /// The directory, as clone3(2) wants it for CLONE_INTO_CGROUP.
    public func openDirectory() throws(CgroupError) -> OwnedDescriptor {
        do { return try File.open(path, MLR_O_PATH | O_DIRECTORY) } catch { throw CgroupError(error) }
    }

    /// The controllers that this group has (cgroup.controllers).
    public func controllers() throws(CgroupError) -> Set<String> {
        Set(try read("cgroup.controllers").split(whereSeparator: \.isWhitespace).map(String.init))
    }

    /// The controllers that groups directly below this one have (cgroup.subtree_control).
    public func enabledControllers() throws(CgroupError) -> Set<String> {
        Set(try read("cgroup.subtree_control").split(whereSeparator: \.isWhitespace).map(String.init))
    }

    /// Gives these controllers to the groups below, as far as it can: whether a limit needs one that did not come is
    /// found, and said with its cause, when the limit is set.
    func enable(controllers wanted: Set<String>) {
        guard let available = try? controllers().intersection(wanted), !available.isEmpty,
            let enabled = try? enabledControllers()
        else { return }
        let missing = available.subtracting(enabled)
        // The kernel would take the controllers of threads (cpu, pids) even so, and turn the groups below into ones that
        // no process can enter ("domain invalid").
        if missing.isEmpty || !processesInTheWay().isEmpty { return }
        for controller in missing.sorted() { _ = write("+\(controller)", to: "cgroup.subtree_control") }
    }

    /// The processes that keep this group from giving controllers to groups below it. Only the kernel's own top, which
    /// has no cgroup.events, may do both.
    func processesInTheWay() -> [Int32] {
        guard has("cgroup.events") else { return [] }
        // Processes of other PID namespaces are listed as 0, and are in the way all the same.
        return ((try? read("cgroup.procs")) ?? "").split(separator: "\n").compactMap { Int32($0) }
    }

    /// Moves a process with its threads into this group. Prefer to start it there: moving leaves its memory behind.
    public func add(process: Int32) throws(CgroupError) {
        if let error = write(String(process), to: "cgroup.procs") {
            throw CgroupError(
                SystemError("move process \(process) to the cgroup", path: path, error),
                remedy: error == .busy ? "it has groups with controllers below it: choose one of those" : nil)
        }
    }

    /// The processes of this group; with `recursive`, also of the groups below. Those outside this process's own PID
    /// namespace are left out.
    public func processes(recursive: Bool = true) throws(CgroupError) -> [Int32] {
        var found = try read("cgroup.procs").split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 0 }
        if recursive {
            for child in try children() {
                do { found += try child.processes() } catch {
                    // Groups of the container's own making come and go.
                    guard case .system(let cause) = error.kind, cause.isGone else { throw error }
                }
            }
        }
        return found
    }

    /// The groups directly below.
    public func children() throws(CgroupError) -> [Cgroup] {
        do {
            let directory = try File.open(path, O_RDONLY | O_DIRECTORY)
            var found: [Cgroup] = []
            for name in try File.list(directory.rawValue, path: path).sorted() {
                // Files far outnumber groups and all have a dot; a group's name may have one too.
                let status = try? File.status(name, in: directory.rawValue, followingLinks: false)
                if let status, status.mode & UInt32(S_IFMT) == UInt32(S_IFDIR) {
                    found.append(Cgroup(path: "\(path)/\(name)"))
                }
            }
            return found
        } catch {
            throw CgroupError(error)
        }
    }

    /// Removes the group and those below it. One that is not there is no error; one that still holds processes is.
    public func remove() throws(CgroupError) {
        if rmdir(path) == 0 || errno == ENOENT { return }
        if errno == EBUSY || errno == ENOTEMPTY {
            do { for child in try children() { try child.remove() } } catch {
                guard case .system(let cause) = error.kind, cause.isGone else { throw error }
            }
            if rmdir(path) == 0 || errno == ENOENT { return }
        }
        let failure = SystemError("remove the cgroup", path: path, Errno(rawValue: errno))
        if failure.errno == .busy {
            let inside = ((try? processes()) ?? []).prefix(5).map(String.init).joined(separator: ", ")
            throw CgroupError(
                .populated, "\(failure)\(inside.isEmpty ? "" : " (it holds the processes \(inside))")",
                remedy: "end its processes first")
        }
        throw CgroupError(failure)
    }

    /// A group that was there before may take a new container only if nobody lives in it and nothing stands still in it.
    func checkReusable() throws(CgroupError) {
        if let text = try readIfPresent("cgroup.events"), CgroupText.keyed(text)["frozen"] == 1 {
            throw CgroupError(
                .populated, "the cgroup \(path) is there already, and frozen",
                remedy: "thaw it (echo 0 > \(path)/cgroup.freeze), or remove it: rmdir \(path)")
        }
        let inside = try processes()
        if inside.isEmpty { return }
        let some = inside.prefix(5).map(String.init).joined(separator: ", ")
        throw CgroupError(
            .populated, "the cgroup \(path) is there already, with the processes \(some)",
            remedy: "choose another cgroupsPath, or end them first")
    }

    /// A group below one whose threads were spread over groups ("threaded") takes no process of its own.
    func checkTakesProcesses() throws(CgroupError) {
        guard let type = try readIfPresent("cgroup.type")?.filter({ $0 != "\n" }), type != "domain",
            type != "domain threaded"
        else { return }
        let above = File.parent(of: path)
        throw CgroupError(
            .path, "the cgroup \(path) takes no processes (its type is \"\(type)\"), since \(above) is threaded",
            remedy: "choose a cgroupsPath that is not below a threaded group: see cgroup.type in \(above)")
    }

    // MARK: Files

    /// A file of the group as text.
    public func read(_ file: String) throws(CgroupError) -> String {
        do { return try File.readValue(path + "/" + file) } catch { throw CgroupError(error) }
    }

    /// A file of the group; nil where the group has none of this name, as without its controller, or is gone.
    func readIfPresent(_ file: String) throws(CgroupError) -> String? {
        do { return try File.readValue(path + "/" + file) } catch {
            if error.isGone || error.errno == .notSupported { return nil }
            throw CgroupError(error)
        }
    }

    func has(_ file: String) -> Bool { File.exists(path + "/" + file) }

    /// Writes a file of the group in one write(2); nil on success.
    func write(_ text: String, to file: String) -> Errno? {
        do throws(SystemError) {
            try File.put(text, into: path + "/" + file)
            return nil
        } catch {
            return error.errno
        }
    }
}

extension SystemError {
    /// The group was removed: opening says ENOENT, reading an open file ENODEV.
    var isGone: Bool { errno == .noSuchFile || errno == .noSuchDevice }
}
