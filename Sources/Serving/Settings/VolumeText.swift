extension VolumeMount {
    private static let remedy =
        "write source:target[:ro|rw|noexec|rslave], such as /data/models:/models:ro"

    /// `source:target[:option[,option…]]` with options `ro`, `rw`, `noexec`, `rprivate` and `rslave`.
    ///
    /// - Parameter workingDirectory: what `./relative` sources are relative to; nil where they are not allowed.
    public init(parsing text: String, workingDirectory: String?) throws(SettingError) {
        func invalid(_ reason: String) -> SettingError { SettingError("volume", text, reason, remedy: Self.remedy) }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 2 else { throw invalid("the target in the container is missing") }
        guard parts.count <= 3 else { throw invalid("it has more than three parts; paths cannot contain a colon") }
        var source = parts[0]
        if source.isEmpty { throw invalid("the source on the host is missing") }
        if !source.hasPrefix("/") {
            guard source == "." || source == ".." || source.hasPrefix("./") || source.hasPrefix("../") else {
                throw invalid(
                    "named volumes do not exist, and \"\(source)\" is no path; write ./\(source) for a directory")
            }
            guard let workingDirectory else { throw invalid("the source \"\(source)\" is not absolute") }
            source = "\(workingDirectory)/\(source)"
        }
        guard let target = AbsolutePath.normalized(parts[1]) else {
            throw invalid("the target \"\(parts[1])\" is no absolute path in the container")
        }
        if target == "/" { throw invalid("a volume cannot replace the whole file system") }
        self.init(source: AbsolutePath.normalized(source) ?? source, target: target)
        for option in parts.count == 3 ? parts[2].split(separator: ",", omittingEmptySubsequences: false) : [] {
            switch option {
            case "ro": readOnly = true
            case "rw": readOnly = false
            case "noexec": noExec = true
            case "rprivate", "private": propagation = .private
            case "rslave", "slave": propagation = .slave
            case "shared", "rshared":
                throw invalid("mounts made inside must not appear on the host; use rslave for the other direction")
            case "z", "Z": throw invalid("volumes are not relabelled for SELinux")
            default: throw invalid("\"\(option)\" is no option of a volume")
            }
        }
    }

    /// As ``init(parsing:workingDirectory:)``, for absolute paths only.
    public init(parsing text: String) throws(SettingError) { try self.init(parsing: text, workingDirectory: nil) }

    /// The form that ``init(parsing:)`` reads.
    public var text: String {
        let options =
            [readOnly ? "ro" : "rw"] + (noExec ? ["noexec"] : [])
            + (propagation == .private ? [] : [propagation.rawValue])
        return "\(source):\(target):\(options.joined(separator: ","))"
    }
}

extension TemporaryFileSystem {
    /// `target[:option[,option…]]`, such as `/cache:size=1g,mode=1777`.
    public init(parsing text: String) throws(SettingError) {
        func invalid(_ reason: String) -> SettingError {
            SettingError("tmpfs", text, reason, remedy: "write target[:options], such as /cache:size=1g,mode=1777")
        }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let target = AbsolutePath.normalized(parts[0]), target != "/" else {
            throw invalid("the target \"\(parts[0])\" is no absolute path below the root")
        }
        let known: Set<String> = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks"]
        let flags: Set<String> = ["ro", "rw", "exec", "noexec", "nosuid", "nodev", "noatime"]
        var options: [String] = []
        for option in parts.count == 2 ? parts[1].split(separator: ",").map(String.init) : [] {
            let name = String(option.prefix { $0 != "=" })
            guard flags.contains(option) || known.contains(name) && option.contains("=") else {
                throw invalid("\"\(option)\" is no option of a tmpfs")
            }
            if name == "size" {
                // tmpfs(5) knows k, m and g only.
                options.append("size=\(try ByteSize.bytes(String(option.dropFirst("size=".count))))")
            } else {
                options.append(option)
            }
        }
        self.init(target: target, options: options)
    }

    /// The form that ``init(parsing:)`` reads.
    public var text: String { options.isEmpty ? target : "\(target):\(options.joined(separator: ","))" }
}

extension DeviceMapping {
    /// `source[:target][:rwm]`. Reading without writing cannot be enforced by a bind mount, and making device nodes is
    /// not possible in a container, so `rw` and `rwm` mean the same and `r` alone is refused.
    public init(parsing text: String) throws(SettingError) {
        func invalid(_ reason: String) -> SettingError {
            SettingError(
                "device", text, reason, remedy: "write source[:target][:rw], such as /dev/kfd or /dev/sdb:/dev/data")
        }
        var parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        var permissions = "rw"
        if parts.count > 1, let last = parts.last, !last.hasPrefix("/") {
            guard last == "rw" || last == "rwm" else { throw invalid("the permissions \"\(last)\" are not rw") }
            permissions = last
            parts.removeLast()
        }
        if parts[0].contains("=") { throw invalid("CDI device names are not resolved; name the device files") }
        guard parts.count <= 2 else { throw invalid("it has more than three parts") }
        let paths = parts.map { AbsolutePath.normalized($0) }
        guard let source = paths[0], let target = paths[paths.count - 1], source.hasPrefix("/dev/") else {
            throw invalid("the source is no path below /dev or the target is not absolute")
        }
        self.init(source: source, target: target, permissions: permissions)
    }

    /// The form that ``init(parsing:)`` reads.
    public var text: String { "\(source):\(target):\(permissions)" }
}

enum AbsolutePath {
    /// Without empty, `.` and `..` parts and without a slash at the end; nil for a path that is not absolute or
    /// contains a zero byte.
    static func normalized(_ path: String) -> String? {
        guard path.hasPrefix("/"), !path.utf8.contains(0) else { return nil }
        var parts: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }
}
