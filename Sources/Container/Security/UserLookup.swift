internal import CLinux
internal import Glibc
internal import LinuxSystem

/// Who a container's process is: numbers inside the container's user namespace, and what its account says.
public struct ResolvedUser: Sendable, Equatable {
    /// In the container's user namespace.
    public var uid: UInt32
    /// The primary group.
    public var gid: UInt32
    /// The primary group first, then the groups of etc/group that list the user. The primary one is among them so that
    /// a file whose group is denied access stays denied (CVE-2022-36109).
    public var additionalGIDs: [UInt32]
    /// The home directory of the account; `/` for a number without one.
    public var home: String
    /// The name of the account; nil for a number without one.
    public var name: String?

    public init(uid: UInt32, gid: UInt32, additionalGIDs: [UInt32], home: String, name: String?) {
        self.uid = uid
        self.gid = gid
        self.additionalGIDs = additionalGIDs
        self.home = home
        self.name = name
    }
}

/// Why a user or group cannot be used.
public struct UserError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The text as it was given, such as `app:users`.
    public let text: String
    /// Why it cannot be used.
    public let reason: String

    public init(text: String, reason: String) {
        self.text = text
        self.reason = reason
    }

    public var description: String { "cannot use the user \"\(text)\": \(reason)" }
}

/// Turns the `User` of an image or of a flag into numbers, by the accounts of the container's own root.
public enum UserLookup {
    /// Resolves `user`, `uid`, `user:group`, `uid:gid` and mixtures; empty means root.
    ///
    /// Digits are always a number, of 32 bits without sign (CVE-2024-40635), and need no account. Anything else must be
    /// the name of an account: `10x` or `+1` never become a number (CVE-2026-30892). With a group given, the account's
    /// other groups are left out, as Docker does.
    /// - Parameter root: the container's root directory; its files are resolved with openat2(RESOLVE_IN_ROOT), so that
    ///   no link in it leads outside.
    public static func resolve(_ text: String, root: Int32) throws(UserError) -> ResolvedUser {
        let parts = try split(text)
        let passwd = try database("etc/passwd", root: root, for: text)
        let group = try database("etc/group", root: root, for: text)
        return try resolve(text, user: parts.user, group: parts.group, passwd: passwd, groups: group)
    }

    /// The home directory of a number's account; `/` where there is none, or none that can be read.
    static func home(of uid: UInt32, root: Int32) -> String {
        guard let passwd = try? database("etc/passwd", root: root, for: "\(uid)"),
            let home = PasswdEntry.first(in: passwd, where: { UInt32(strictly: $0.uid) == uid })?.home
        else { return "/" }
        return home.hasPrefix("/") ? home : "/"
    }

    /// The number of one group, as `--group-add` takes it: a number, or a name of the container's etc/group.
    public static func group(_ text: String, root: Int32) throws(UserError) -> UInt32 {
        try checkCharacters(text)
        guard !text.isEmpty else { throw UserError(text: text, reason: "the group is empty") }
        if let number = try number(text, in: text, what: "group") { return number }
        return try gid(named: text, in: text, groups: try database("etc/group", root: root, for: text))
    }

    /// The same on texts: `passwd` and `groups` are nil where the container has no such file.
    static func resolve(_ text: String, passwd: String?, groups: String?) throws(UserError) -> ResolvedUser {
        let parts = try split(text)
        return try resolve(text, user: parts.user, group: parts.group, passwd: passwd, groups: groups)
    }

    private static func resolve(
        _ text: String, user: String, group: String?, passwd: String?, groups: String?
    ) throws(UserError) -> ResolvedUser {
        let account: PasswdEntry?
        let uid: UInt32
        if let number = try number(user, in: text, what: "user") {
            uid = number
            account = PasswdEntry.first(in: passwd ?? "") { $0.uid == String(number) }
        } else {
            guard let passwd else {
                throw UserError(
                    text: text, reason: "the image has no etc/passwd to look the name up in; give a number instead")
            }
            guard let entry = PasswdEntry.first(in: passwd, where: { $0.name == user }) else {
                throw UserError(
                    text: text, reason: "etc/passwd of the image has no \"\(user)\"; give a number or another name")
            }
            guard let number = UInt32(strictly: entry.uid) else {
                throw UserError(
                    text: text, reason: "etc/passwd of the image gives \"\(user)\" the unusable uid \"\(entry.uid)\"")
            }
            uid = number
            account = entry
        }

        let gid: UInt32
        if let group {
            if let number = try number(group, in: text, what: "group") {
                gid = number
            } else {
                gid = try Self.gid(named: group, in: text, groups: groups)
            }
        } else if let account {
            guard let number = UInt32(strictly: account.gid) else {
                throw UserError(
                    text: text,
                    reason: "etc/passwd of the image gives \"\(account.name)\" the unusable gid \"\(account.gid)\"")
            }
            gid = number
        } else {
            gid = 0
        }

        var additional = [gid]
        if group == nil, let account, let groups {
            for entry in GroupEntry.all(in: groups) where entry.members.contains(account.name) {
                guard let number = UInt32(strictly: entry.gid) else {
                    throw UserError(
                        text: text,
                        reason: "etc/group of the image gives \"\(entry.name)\" the unusable gid \"\(entry.gid)\"")
                }
                if !additional.contains(number) { additional.append(number) }
            }
        }
        let home = account?.home ?? ""
        return ResolvedUser(
            uid: uid, gid: gid, additionalGIDs: additional, home: home.hasPrefix("/") ? home : "/",
            name: account?.name)
    }

    private static func split(_ text: String) throws(UserError) -> (user: String, group: String?) {
        try checkCharacters(text)
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2 else { throw UserError(text: text, reason: "it has more than one colon") }
        if parts.count == 2, parts[1].isEmpty { throw UserError(text: text, reason: "nothing follows the colon") }
        return (parts[0].isEmpty ? "0" : parts[0], parts.count == 2 ? parts[1] : nil)
    }

    private static func checkCharacters(_ text: String) throws(UserError) {
        if text.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F || $0 == UInt8(ascii: "/") }) {
            throw UserError(text: text, reason: "a name holds no space, slash or control character")
        }
    }

    /// The number that `part` writes, nil if it is no number at all.
    private static func number(_ part: String, in text: String, what: String) throws(UserError) -> UInt32? {
        guard !part.isEmpty, part.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        guard let number = UInt32(strictly: part) else {
            throw UserError(text: text, reason: "the \(what) \(part) is not between 0 and 4294967294")
        }
        return number
    }

    private static func gid(named name: String, in text: String, groups: String?) throws(UserError) -> UInt32 {
        guard let groups else {
            throw UserError(
                text: text, reason: "the image has no etc/group to look the group up in; give a number instead")
        }
        guard let entry = GroupEntry.all(in: groups).first(where: { $0.name == name }) else {
            throw UserError(
                text: text, reason: "etc/group of the image has no \"\(name)\"; give a number or another name")
        }
        guard let number = UInt32(strictly: entry.gid) else {
            throw UserError(
                text: text, reason: "etc/group of the image gives \"\(name)\" the unusable gid \"\(entry.gid)\"")
        }
        return number
    }

    /// An account file of the container; nil where there is none.
    private static func database(_ path: String, root: Int32, for text: String) throws(UserError) -> String? {
        // The image decides what this name is: a FIFO must not block, and to open a device can do something already, so
        // that nothing is opened before it is known to be a file. A lease of a process in there would hold up whoever waits.
        do throws(SystemError) {
            let found = try File.open(
                path, MLR_O_PATH, in: root, resolve: Int(MLR_RESOLVE_IN_ROOT) | Int(MLR_RESOLVE_NO_MAGICLINKS))
            guard try File.status(of: found.rawValue).mode & UInt32(S_IFMT) == UInt32(S_IFREG) else {
                throw SystemError("read, since it is no regular file,", path: path, .invalidArgument)
            }
            let file = try File.open("/proc/self/fd/\(found.rawValue)", O_RDONLY | O_NONBLOCK)
            return String(decoding: try File.readAll(file.rawValue, limit: 16 << 20, path: path), as: UTF8.self)
        } catch {
            if error.errno == .noSuchFile || error.errno == .notADirectory { return nil }
            throw UserError(text: text, reason: "\(error) in the image")
        }
    }
}
