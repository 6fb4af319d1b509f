/// Where a container's group lies by its `linux.cgroupsPath`.
enum CgroupPath {
    /// The names on the way from the top of a hierarchy.
    ///
    /// An absolute path counts from the top. A relative one does so too for root; for others it counts from the parent of
    /// the caller's own group, since that group holds processes and can therefore not give controllers to groups below it.
    static func components(
        _ request: ContainerCgroup.Request, own: String?, isPrivileged: Bool
    ) throws(CgroupError) -> [String] {
        let wanted = request.cgroupsPath.flatMap { $0.isEmpty ? nil : $0 }
        if let wanted, wanted.contains("\0") {
            throw CgroupError(.path, "linux.cgroupsPath has a zero byte in it", remedy: "use a path without one")
        }
        if let wanted, wanted.hasPrefix("/") || isPrivileged { return try checked(wanted) }
        if wanted == nil, isPrivileged { return try checked("/mlrun-oci/\(request.id)") }
        let parent = own.map { $0.split(separator: "/").dropLast().joined(separator: "/") } ?? ""
        return try checked("\(parent)/\(wanted ?? "mlrun-oci-\(request.id)")")
    }

    private static func checked(_ path: String) throws(CgroupError) -> [String] {
        let components = try CgroupHierarchy.components(path)
        if components.isEmpty {
            throw CgroupError(
                .path, "linux.cgroupsPath \"\(path)\" is the top of the cgroup hierarchy",
                remedy: "name a group below it, such as /mlrun-oci/name")
        }
        return components
    }

    /// The three parts of `slice:prefix:name`, as the systemd manager takes them.
    struct Unit: Equatable {
        /// Such as `machine.slice`.
        let slice: String
        /// Such as `libpod-id.scope`.
        let name: String

        /// Whether the unit is a slice itself, which has no processes of its own.
        var isSlice: Bool { name.hasSuffix(".slice") }

        /// Reads `slice:prefix:name`; the first two may be empty. A name that ends in `.slice` is a unit of its own.
        init(_ request: ContainerCgroup.Request, isOfUser: Bool) throws(CgroupError) {
            let standard = isOfUser ? "user.slice" : "system.slice"
            guard let path = request.cgroupsPath, !path.isEmpty else {
                slice = standard
                name = "mlrun-oci-\(request.id).scope"
                return
            }
            let parts = path.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 3, !parts[2].isEmpty else {
                throw CgroupError(
                    .path, "linux.cgroupsPath \"\(path)\" is not of the form that systemd's groups have",
                    remedy: "write slice:prefix:name, such as system.slice:mlrun:\(request.id), "
                        + "or leave --systemd-cgroup out")
            }
            slice = parts[0].isEmpty ? standard : parts[0]
            let isSlice = parts[2].hasSuffix(".slice")
            name = isSlice ? parts[2] : (parts[1].isEmpty ? parts[2] : "\(parts[1])-\(parts[2])") + ".scope"
            if slice != "-.slice", Self.expand(slice) == nil {
                throw CgroupError(
                    .path, "linux.cgroupsPath \"\(path)\": \"\(slice)\" is no name of a slice",
                    remedy: "write one such as machine.slice or kubepods-burstable.slice")
            }
            guard Self.isUnitName(name) else {
                throw CgroupError(
                    .path, "linux.cgroupsPath \"\(path)\": \"\(name)\" is no name of a unit",
                    remedy: "use letters, digits and :-_.\\ in it, at most 255 of them")
            }
        }

        /// The path of a slice below the hierarchy: `a-b.slice` lies in `a.slice`. Nil for what is no slice.
        static func expand(_ slice: String) -> String? {
            if slice == "-.slice" { return "" }
            guard slice.hasSuffix(".slice"), isUnitName(slice) else { return nil }
            let stem = slice.dropLast(".slice".utf8.count)
            let parts = stem.split(separator: "-", omittingEmptySubsequences: false)
            if parts.contains(where: \.isEmpty) { return nil }
            return parts.indices.map { "/" + parts[...$0].joined(separator: "-") + ".slice" }.joined()
        }

        /// What systemd accepts as a unit's name (unit-name.c).
        static func isUnitName(_ name: String) -> Bool {
            !name.isEmpty && name.utf8.count <= 255 && !name.hasPrefix(".")
                && name.utf8.allSatisfy { byte in
                    switch byte {
                    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                    default: ":-_.\\".utf8.contains(byte)
                    }
                }
        }
    }
}
