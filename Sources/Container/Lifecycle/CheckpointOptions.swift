internal import OCISpec

/// How a container is written to files by CRIU.
public struct CheckpointOptions: Sendable {
    /// CRIU's program, by its name or path.
    public var program = "criu"
    /// The directory of the image; absolute.
    public var images: String
    /// Where CRIU's log is and what it keeps meanwhile; by default ``images``.
    public var work: String?
    /// Directory of an earlier image, relative to ``images``, of which only the differences are written.
    public var parent: String?
    /// Leave the container running.
    public var leavesRunning = false
    /// Write memory only, ahead of the image itself; the container goes on.
    public var isAhead = false
    /// `ADDRESS:PORT` of a server that takes the memory.
    public var pageServer: String?
    /// A descriptor that gets a NUL when the server for lazy pages is ready.
    public var statusDescriptor: Int32?
    /// What CRIU does with control groups: `ignore`, `soft`, `full` or `strict`.
    public var cgroupMode: String?
    /// Namespaces whose content is left out; `network` is all there is.
    public var emptyNamespaces: [String] = []
    /// CRIU's own switches, by the names they have there.
    public var switches: [String] = []

    public init(images: String) { self.images = images }

    /// The command line but for what depends on the container.
    func arguments() throws(ContainerError) -> [String] {
        var words = [isAhead ? "pre-dump" : "dump", "-D", images]
        if let work { words += ["-W", work] }
        words += ["-o", "dump.log", "-v4"]
        if let parent {
            if parent.hasPrefix("/") {
                throw .option("--parent-path \"\(parent)\" is absolute: it is to be relative to --image-path")
            }
            words += ["--prev-images-dir", parent]
        }
        if parent != nil || isAhead { words += ["--track-mem"] }
        if leavesRunning, !isAhead { words.append("--leave-running") }
        if let pageServer { words += try Self.pageServer(pageServer) }
        if let statusDescriptor { words += ["--status-fd", String(statusDescriptor)] }
        if !isAhead { words += try Self.cgroups(cgroupMode ?? "soft") }
        words += try Self.emptyNamespaces(emptyNamespaces)
        return words + switches.map { "--\($0)" }
    }

    private static func pageServer(_ text: String) throws(ContainerError) -> [String] {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            throw .option("--page-server \"\(text)\" is not ADDRESS:PORT")
        }
        return ["--page-server", "--address", String(text[..<colon]), "--port", String(port)]
    }

    static func cgroups(_ mode: String) throws(ContainerError) -> [String] {
        guard ["ignore", "none", "props", "soft", "full", "strict"].contains(mode) else {
            throw .option("--manage-cgroups-mode is \"\(mode)\", not ignore, soft, full or strict")
        }
        return ["--manage-cgroups=\(mode)"]
    }

    static func emptyNamespaces(_ names: [String]) throws(ContainerError) -> [String] {
        for name in names where name != "network" {
            throw .option("--empty-ns \"\(name)\": only the content of the network namespace can be left out")
        }
        return names.isEmpty ? [] : ["--empty-ns", "net"]
    }
}

/// How a container is made from files of CRIU; what does not concern them is in ``CreateOptions``.
public struct RestoreOptions: Sendable {
    /// CRIU's program, by its name or path.
    public var program = "criu"
    /// The directory of the image; absolute.
    public var images: String
    /// Where CRIU's log is; by default ``images``.
    public var work: String?
    /// As ``CheckpointOptions/cgroupMode``; nil puts the processes into the container's new group.
    public var cgroupMode: String?
    /// As ``CheckpointOptions/emptyNamespaces``.
    public var emptyNamespaces: [String] = []
    /// Another profile of the security module for the processes, as `apparmor:NAME`.
    public var securityProfile: String?
    /// Another SELinux label for mounts.
    public var mountContext: String?
    /// CRIU's own switches, by the names they have there.
    public var switches: [String] = []
    /// A shell command line that CRIU runs at each stage, as `mlrun-oci criu-action`.
    public var actionScript: String?

    public init(images: String) { self.images = images }

    /// The command line but for what depends on the container.
    func arguments() throws(ContainerError) -> [String] {
        var words = ["restore", "-D", images]
        if let work { words += ["-W", work] }
        words += ["-o", "restore.log", "-v4", "--restore-detached", "--restore-sibling"]
        words += try CheckpointOptions.cgroups(cgroupMode ?? "ignore")
        words += try CheckpointOptions.emptyNamespaces(emptyNamespaces)
        if let securityProfile { words += ["--lsm-profile", securityProfile] }
        if let mountContext { words += ["--lsm-mount-context", mountContext] }
        if let actionScript { words += ["--action-script", actionScript] }
        return words + switches.map { "--\($0)" }
    }
}

/// What CRIU's log says about a failure.
enum CheckpointLog {
    /// The first error, which the others follow from, without its time.
    static func cause(_ log: String) -> String {
        let lines = log.split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPart("Error (") }) ?? lines.last else {
            return "its log says nothing"
        }
        guard let start = line.range(ofWord: "Error (") else { return String(line) }
        return String(line[start...])
    }
}

extension Substring {
    fileprivate func range(ofWord word: String) -> Index? {
        indices.first { self[$0...].hasPrefix(word) }
    }
}
