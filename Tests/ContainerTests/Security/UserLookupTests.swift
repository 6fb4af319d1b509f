import CLinux
import Glibc
import LinuxSystem
import Testing

@testable import Container

@Suite("The container's user")
struct UserLookupTests {
    private let passwd = """
        root:x:0:0:root:/root:/bin/sh
        # a comment:x:5:5::/:
        app:x:1000:1001:App:/home/app:/bin/sh
        second:x:1000:2000::/elsewhere:/bin/sh
        broken:x:99999999999:1::/:
        badgroup:x:7:-1::/:
        homeless:x:8:8:::
        """
    private let groups = """
        root:x:0:
        app:x:1001:
        video:x:44:other,app
        render:x:105:app
        again:x:44:app
        broken:x:4294967296:
        """

    private func resolve(_ text: String) throws(UserError) -> ResolvedUser {
        try UserLookup.resolve(text, passwd: passwd, groups: groups)
    }

    @Test("a name brings its group, its other groups with the primary one, and its home")
    func name() throws {
        #expect(
            try resolve("app")
                == ResolvedUser(uid: 1000, gid: 1001, additionalGIDs: [1001, 44, 105], home: "/home/app", name: "app"))
    }

    @Test("a number takes its first account, if it has one")
    func number() throws {
        #expect(try resolve("1000").name == "app")
        #expect(try resolve("1000").gid == 1001)
        #expect(
            try resolve("4000") == ResolvedUser(uid: 4000, gid: 0, additionalGIDs: [0], home: "/", name: nil))
        #expect(try resolve("4294967294").uid == 4_294_967_294)
        #expect(try resolve("0").home == "/root")
        #expect(try resolve("8").home == "/")
    }

    @Test(
        "a group that is given is the only one",
        arguments: [
            ("app:video", UInt32(1000), UInt32(44)), ("1000:44", 1000, 44), ("app:9", 1000, 9), ("5:render", 5, 105),
            (":render", 0, 105),
        ])
    func group(text: String, uid: UInt32, gid: UInt32) throws {
        let user = try resolve(text)
        #expect(user.uid == uid && user.gid == gid && user.additionalGIDs == [gid])
    }

    @Test("empty is root, with and without account files")
    func empty() throws {
        #expect(try resolve("").uid == 0)
        #expect(
            try UserLookup.resolve("", passwd: nil, groups: nil)
                == ResolvedUser(uid: 0, gid: 0, additionalGIDs: [0], home: "/", name: nil))
    }

    @Test(
        "nothing that is not exactly a number or a known name gets through",
        arguments: [
            "4294967295", "4294967296", "18446744073709551616", "2147483648000", "-1", "+1", "1000x", "0x0", "1e3",
            "1000 ",
            " 0", "app ", "app:video:1", "app:", "1000:-1", "1000:4294967296", "1000:x", "nobody", "broken", "badgroup",
            "1000:broken", "app\n", "app\0", "../app", "1_000", "\u{0661}", ":",
        ])
    func refused(text: String) {
        let error = #expect(throws: UserError.self) { try resolve(text) }
        #expect(error?.text == text)
    }

    @Test("names need account files, numbers do not")
    func withoutFiles() throws {
        #expect(try UserLookup.resolve("12:13", passwd: nil, groups: nil).gid == 13)
        #expect(throws: UserError.self) { try UserLookup.resolve("app", passwd: nil, groups: nil) }
        #expect(throws: UserError.self) { try UserLookup.resolve("1:app", passwd: passwd, groups: nil) }
    }

    @Test("links in the image are resolved inside it, and nothing but a regular file is read")
    func files() throws {
        let base = "/tmp/mlrun-users-\(File.randomName())"
        let root = base + "/root"
        defer { try? File.removeTree(base) }
        try File.makeDirectories("\(root)/etc")
        try File.makeDirectories("\(root)/usr/share")
        try File.replace("\(root)/usr/share/passwd", with: Array("inner:x:5:6::/in:/bin/sh\n".utf8), durable: false)
        // An absolute link must mean the container's own root, never the host's.
        #expect(symlink("/usr/share/passwd", "\(root)/etc/passwd") == 0)
        try File.replace("\(base)/group", with: Array("outer:x:5:\n".utf8), durable: false)
        #expect(symlink("../../group", "\(root)/etc/group") == 0)
        let directory = try File.open(root, MLR_O_PATH | O_DIRECTORY)
        #expect(try UserLookup.resolve("inner", root: directory.rawValue).home == "/in")
        #expect(throws: UserError.self) { try UserLookup.resolve("daemon", root: directory.rawValue) }
        // Two levels up there is such a group, but "up" ends at the container's root.
        #expect(throws: UserError.self) { try UserLookup.group("outer", root: directory.rawValue) }
        #expect(try UserLookup.group("77", root: directory.rawValue) == 77)

        try File.removeIfPresent("\(root)/etc/passwd")
        #expect(mkfifo("\(root)/etc/passwd", 0o600) == 0)
        #expect(throws: UserError.self) { try UserLookup.resolve("inner", root: directory.rawValue) }
    }
}
