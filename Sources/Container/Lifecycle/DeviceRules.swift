public import OCISpec

/// The rules that every container's device filter ends with, whatever its configuration denies: the devices that the
/// specification says a container has (config-linux.md, default devices).
public enum DeviceRules {
    /// These rules, and after them those for the devices that every container may use. What no rule speaks of is denied, as other
    /// runtimes have it.
    public static func complete(_ rules: [RuntimeSpec.Resources.DeviceRule]) -> [RuntimeSpec.Resources.DeviceRule] {
        (rules.first.map(isForAll) == true ? rules : [.init(allow: false, access: "rwm")] + rules) + nodes
            + numbers.map { major, minor in
                .init(allow: true, type: "c", major: major, minor: minor, access: "rwm")
            }
    }

    /// Whether a rule speaks of every device and of everything that is done with one.
    static func isForAll(_ rule: RuntimeSpec.Resources.DeviceRule) -> Bool {
        let access = Set(rule.access ?? "")
        return (rule.type ?? "a") == "a" && rule.major == nil && rule.minor == nil
            && (access.isEmpty || access.isSuperset(of: "rwm"))
    }

    /// What stands in the place of rules that are missing: nothing but these devices.
    static func only(_ devices: [RuntimeSpec.Device]) -> [RuntimeSpec.Resources.DeviceRule] {
        [.init(allow: false, access: "rwm")]
            + devices.filter { $0.type != "p" && isNumber($0.major) && isNumber($0.minor) }.map {
                .init(
                    allow: true, type: $0.type == "u" ? "c" : $0.type, major: $0.major, minor: $0.minor, access: "rwm")
            }
    }

    // What else there is in place of a number is told by whoever makes the nodes.
    private static func isNumber(_ number: Int64?) -> Bool { number.flatMap { UInt32(exactly: $0) } != nil }

    // A node may be made of any device; the numbers decide which can be opened.
    private static let nodes: [RuntimeSpec.Resources.DeviceRule] = ["c", "b"].map {
        .init(allow: true, type: $0, access: "m")
    }

    // null, zero, full, random, urandom, tty, ptmx, and every terminal of /dev/pts.
    private static let numbers: [(Int64, Int64?)] = [
        (1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, nil),
    ]
}
