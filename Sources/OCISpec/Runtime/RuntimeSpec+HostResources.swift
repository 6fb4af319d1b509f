// What a container takes of the host beside its files.

extension RuntimeSpec.Linux {
    func netDeviceProblems(hasNetwork: Bool) -> [JSONError] {
        var found: [JSONError] = []
        var names: Set<String> = []
        for (host, device) in netDevices.sorted(by: { $0.key < $1.key }) {
            let path = "linux.netDevices.\(host)"
            if !hasNetwork {
                found.append(JSONError(path: path, message: "needs a network namespace in linux.namespaces"))
            }
            if !Self.isDeviceName(host) || host.contains("%") {
                found.append(JSONError(path: path, message: "is no name of a network device"))
            }
            let inside = device.name ?? host
            if !Self.isDeviceName(inside) {
                found.append(
                    JSONError(
                        path: "\(path).name",
                        message:
                            "\"\(inside)\" is no name of a network device (1 to 15 bytes, no space, slash or colon)"))
            }
            // A pattern gives each its own number.
            if !inside.hasPart("%d"), !names.insert(inside).inserted {
                found.append(JSONError(path: "\(path).name", message: "\"\(inside)\" is given to two devices"))
            }
        }
        return found
    }

    /// The kernel's rule (dev_valid_name), and of patterns `%d` alone, once.
    private static func isDeviceName(_ name: String) -> Bool {
        let percents = name.utf8.count { $0 == UInt8(ascii: "%") }
        return (1...15).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
            && (percents == 0 || percents == 1 && name.hasPart("%d"))
    }
}

extension RuntimeSpec.IntelRdt {
    func problems() -> [JSONError] {
        var found: [JSONError] = []
        func object(_ name: String, _ message: String) {
            found.append(JSONError(path: "linux.intelRdt.\(name)", message: message))
        }
        if let closID, closID != "/" {
            if closID.isEmpty || closID == "." || closID == ".." || closID.contains("/") || closID.utf8.contains(0) {
                object("closID", "\"\(closID)\" is no name of a group (\"/\" is the default one)")
            }
            if ["info", "mon_groups", "mon_data"].contains(closID) {
                object("closID", "\"\(closID)\" is the kernel's own")
            }
        }
        if let memBwSchema, !memBwSchema.hasPrefix("MB:") { object("memBwSchema", "does not begin with \"MB:\"") }
        if let l3CacheSchema, !l3CacheSchema.hasPrefix("L3") { object("l3CacheSchema", "does not begin with \"L3:\"") }
        let lines =
            [("l3CacheSchema", l3CacheSchema ?? ""), ("memBwSchema", memBwSchema ?? "")]
            + schemata.enumerated().map { ("schemata[\($0)]", $1) }
        for (name, text) in lines where text.contains("\n") { object(name, "contains a newline") }
        return found
    }
}
