@testable import Container

extension FuzzTarget {
    static let container = [accounts]

    /// A user as the image or a flag names it, etc/passwd and etc/group, with zero bytes between.
    private static let accounts = FuzzTarget(name: "accounts") { bytes throws(FuzzFinding) in
        let parts = bytes.parts(3)
        guard let user = try? UserLookup.resolve(parts[0], passwd: parts[1], groups: parts[2]) else { return }
        try promise(user.uid != .max && user.gid != .max, "\(parts[0]) has the id that means \"unchanged\"")
        try promise(user.additionalGIDs.first == user.gid, "\(parts[0]) loses its primary group")
        try promise(!user.additionalGIDs.contains(.max), "\(parts[0]) has a group that means \"unchanged\"")
        try promise(user.home.hasPrefix("/"), "\(parts[0]) has the home \(user.home)")
    }
}
