internal import LinuxSystem
internal import OCISpec

/// What /etc/subuid and /etc/subgid say of host ids: ranges given to users for their own containers, one of which may be
/// mlrun's (subuid(5)).
struct SubordinateIDs: Sendable, Equatable {
    /// The name under which an administrator gives mlrun ranges of its own.
    static let owner = "mlrun"

    /// One of the two files.
    struct Table: Sendable, Equatable {
        /// mlrun's own; where there is any, it uses no others.
        var own: [Range<UInt64>] = []
        /// Other users', which nobody else may use.
        var foreign: [Range<UInt64>] = []

        /// Lines that make no sense are nobody's, as shadow's own programs see them.
        init(parsing text: String) {
            for line in text.split(separator: "\n") where !line.hasPrefix("#") {
                let fields = line.split(separator: ":", omittingEmptySubsequences: false)
                guard fields.count == 3, let start = UInt64(fields[1]), let count = UInt64(fields[2]),
                    count > 0, start < 1 << 32, count <= 1 << 32
                else { continue }
                if fields[0] == SubordinateIDs.owner {
                    own.append(start..<start + count)
                } else {
                    foreign.append(start..<start + count)
                }
            }
        }

        func allows(_ range: Range<UInt64>) -> Bool {
            if foreign.contains(where: { $0.overlaps(range) }) { return false }
            return own.isEmpty
                || own.contains { $0.lowerBound <= range.lowerBound && range.upperBound <= $0.upperBound }
        }
    }

    var users: Table
    var groups: Table

    /// Of this host; a file that is not there gives nothing to anybody.
    static func ofHost() -> SubordinateIDs {
        func table(_ path: String) -> Table { Table(parsing: (try? File.readText(path)) ?? "") }
        return SubordinateIDs(users: table("/etc/subuid"), groups: table("/etc/subgid"))
    }

    /// Whether mlrun may use this range of ids, of users and of groups.
    func allows(_ range: RuntimeSpec.IDMap) -> Bool {
        let ids = UInt64(range.hostID)..<UInt64(range.hostID) + UInt64(range.size)
        return users.allows(ids) && groups.allows(ids)
    }

    /// Whether an administrator chose mlrun's ids.
    var names: Bool { !users.own.isEmpty || !groups.own.isEmpty }
}
