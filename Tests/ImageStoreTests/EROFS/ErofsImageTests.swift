import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

@Suite("EROFS images", .enabled(if: MountedImage.isPossible, "needs root and a kernel that mounts EROFS from files"))
struct ErofsImageTests {
    private func mount(
        _ archive: [UInt8], _ body: (borrowing MountedImage, FileListing) throws -> Void = { _, _ in }
    ) throws {
        let scratch = try ScratchImage()
        let refusal = try scratch.build(archive)
        try #require(refusal == nil)
        try Self.check(scratch.path)
        let mounted = try MountedImage(scratch.path)
        try body(mounted, mounted.listing())
    }

    static func check(_ path: String) throws {
        if Tool.exists("fsck.erofs") { try Tool.shell("fsck.erofs \(path)") }
    }

    @Test("an empty archive becomes an empty root")
    func empty() throws {
        try mount([UInt8](repeating: 0, count: 1024)) { _, listing in
            #expect(listing.lines == [".": "40755 owner 0:0 links 2 time 0.0"])
        }
    }

    @Test("every attribute of every kind of file survives")
    func attributes() throws {
        let archive = CraftedTar.archive { tar in
            var root = CraftedTar.Header("./", type: "5")
            root.mode = "0001711"
            tar.add(root)
            tar.add(pax: [
                ("uid", "4000000000"), ("gid", "3000000000"), ("mtime", "-5.000000001"),
                ("SCHILY.xattr.user.note", "hello"), ("SCHILY.xattr.trusted.overlay.redirect", "/etc"),
                ("SCHILY.xattr.security.selinux", "x"), ("SCHILY.xattr.user.empty", ""),
            ])
            var file = CraftedTar.Header("bin/tool")
            file.mode = "0006755"
            tar.add(file, content: Array("#!".utf8))
            tar.add(pax: [("mtime", "1700000000.123456789")])
            tar.add(link: "bin/link", to: "../somewhere/else", type: "2")
            tar.add(CraftedTar.Header("fifo", type: "6"))
            tar.add(link: "bin/again", to: "/bin/tool", type: "1")
            tar.add(file: "empty")
        }
        try mount(archive) { _, listing in
            let lines = listing.lines
            #expect(lines["."]?.hasPrefix("41711 owner 0:0 links 3 ") == true)
            #expect(lines["./bin"] == "40755 owner 0:0 links 2 time 0.0")
            let tool = "106755 owner 4000000000:3000000000 links 2 time -6.999999999 size 2 sha256 "
            #expect(lines["./bin/tool"]?.hasPrefix(tool) == true)
            #expect(lines["./bin/tool"]?.hasSuffix(" user.empty= user.note=68.65.6c.6c.6f") == true)
            #expect(lines["./bin/tool"] == lines["./bin/again"])
            #expect(
                lines["./bin/link"] == "120777 owner 0:0 links 1 time 1700000000.123456789 size 17 to ../somewhere/else"
            )
            #expect(lines["./fifo"] == "10644 owner 0:0 links 1 time 0.0")
            #expect(lines["./empty"]?.contains(" size 0 ") == true)
        }
    }

    @Test("whiteouts, opaque directories and names of AUFS's own")
    func whiteouts() throws {
        let archive = CraftedTar.archive { tar in
            tar.add(file: "d/.wh.gone")
            tar.add(file: "d/.wh..wh..opq")
            tar.add(file: ".wh..wh.plnk/1.2", "ignored")
            tar.add(file: ".wh..wh.aufs")
            // A whiteout speaks of lower layers only, wherever it stands.
            tar.add(file: "kept", "1")
            tar.add(file: ".wh.kept")
            tar.add(file: ".wh.later")
            tar.add(file: "later", "2")
            tar.add(file: ".wh.replaced")
            tar.add(file: "replaced/inside", "3")
            tar.add(file: "again/inside", "4")
            tar.add(file: ".wh.again")
            var device = CraftedTar.Header("native", type: "3")
            device.mode = "0000000"
            tar.add(device)
        }
        try mount(archive) { _, listing in
            let lines = listing.lines
            #expect(
                Set(lines.keys) == [
                    ".", "./d", "./d/gone", "./kept", "./later", "./replaced", "./replaced/inside", "./again",
                    "./again/inside", "./native",
                ])
            #expect(lines["./d/gone"] == "20000 owner 0:0 links 1 time 0.0 device 0:0")
            #expect(lines["./native"] == lines["./d/gone"])
            for opaque in ["./d", "./replaced", "./again"] {
                #expect(lines[opaque]?.hasSuffix("trusted.overlay.opaque=79") == true, "\(opaque)")
            }
            #expect(lines["./kept"]?.hasPrefix("100644") == true)
            #expect(lines["./later"]?.hasPrefix("100644") == true)
        }
    }

    @Test("of several entries with one name the last wins, and a directory keeps what is in it")
    func duplicates() throws {
        let archive = CraftedTar.archive { tar in
            tar.add(file: "f", "old")
            tar.add(file: "f", "newer")
            tar.add(file: "d/inside", "x")
            var directory = CraftedTar.Header("d", type: "5")
            directory.mode = "0000700"
            tar.add(directory)
            tar.add(file: "tree/a/b", "x")
            tar.add(file: "tree", "flat")
            tar.add(file: "flat", "x")
            tar.add(file: "second", "x")
            tar.add(link: "hard", to: "second", type: "1")
            tar.add(file: "second", "changed")
            tar.add(link: "flat", to: "f", type: "2")
            tar.add(directory: "flat")
        }
        try mount(archive) { _, listing in
            let lines = listing.lines
            #expect(lines["./f"]?.contains("links 1 time 0.0 size 5 ") == true)
            #expect(lines["./d"]?.hasPrefix("40700") == true)
            #expect(lines["./d/inside"] != nil)
            #expect(lines["./tree"]?.contains(" size 4 ") == true)
            #expect(lines["./tree/a"] == nil)
            #expect(lines["./hard"]?.contains("links 1 time 0.0 size 1 ") == true)
            #expect(lines["./second"]?.contains("links 1 time 0.0 size 7 ") == true)
            #expect(lines["./flat"]?.hasPrefix("40755") == true)
        }
    }

    @Test("entries below a symbolic link of the layer land where it leads inside the layer")
    func throughLinks() throws {
        let archive = CraftedTar.archive { tar in
            tar.add(directory: "usr/lib")
            tar.add(link: "lib", to: "usr/lib", type: "2")
            tar.add(link: "up", to: "../../../usr/./lib/..", type: "2")
            tar.add(link: "root", to: "/", type: "2")
            tar.add(file: "lib/a", "1")
            tar.add(file: "up/lib/b", "2")
            tar.add(file: "root/c", "3")
        }
        try mount(archive) { _, listing in
            #expect(Set(listing.lines.keys).isSuperset(of: ["./usr/lib/a", "./usr/lib/b", "./c", "./lib"]))
        }
    }

    @Test("files of every size around the edges of blocks and inodes", arguments: [false, true])
    func sizes(withAttributes: Bool) throws {
        let sizes =
            [1, 63, 64, 3900, 4000, 4031, 4032, 4033, 4095, 4096, 4097, 8191, 8192, 8193, 12000]
            + [65535, 65536, 65537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (5 << 20) + 77]
        var expected: [String: String] = [:]
        let archive = CraftedTar.archive { tar in
            for size in sizes {
                if withAttributes {
                    tar.add(pax: [("SCHILY.xattr.user.big", String(repeating: "v", count: size % 5000))])
                }
                let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8 | 1) }
                tar.add(CraftedTar.Header("f\(size)"), content: content)
                expected["f\(size)"] = "size \(size) sha256 \(Self.hash(content))"
            }
        }
        try mount(archive) { _, listing in
            for (name, text) in expected {
                #expect(listing.lines["./\(name)"]?.contains(text) == true, "\(name)")
            }
        }
    }

    @Test("zeros inside of files become holes and are still read as zeros")
    func zeros() throws {
        var content = [UInt8](repeating: 0, count: 9 << 20)
        content[3 << 20] = 7
        content[(5 << 20) - 1] = 8
        let scratch = try ScratchImage()
        let refusal = try scratch.build(CraftedTar.archive { $0.add(CraftedTar.Header("f"), content: content) })
        try #require(refusal == nil)
        try Self.check(scratch.path)
        let status = try File.status(scratch.path)
        #expect(status.size > 9 << 20)
        #expect(status.blocks * 512 < 3 << 20)
        let mounted = try MountedImage(scratch.path)
        #expect(try mounted.listing().lines["./f"]?.contains("size 9437184 sha256 \(Self.hash(content))") == true)
    }

    @Test("sparse files keep their holes", arguments: SparseArchive.Format.allCases)
    func sparse(format: SparseArchive.Format) throws {
        try mount(SparseArchive.make(format)) { _, listing in
            let text = "size 9000 sha256 \(Self.hash(SparseArchive.content))"
            #expect(listing.lines["./sparse"]?.contains(text) == true)
        }
    }

    @Test("a sparse file of a terabyte takes next to nothing")
    func hugeSparse() throws {
        let archive = CraftedTar.archive { tar in
            tar.add(pax: [
                ("GNU.sparse.size", "\(1 << 40)"), ("GNU.sparse.name", "s"),
                ("GNU.sparse.map", "0,3,\((1 << 40) - 2),2"),
            ])
            tar.add(CraftedTar.Header("s"), content: [1, 2, 3, 4, 5])
            tar.add(pax: [("GNU.sparse.size", "\(1 << 43)"), ("GNU.sparse.name", "n"), ("GNU.sparse.map", "0,0")])
            tar.add(CraftedTar.Header("n"))
        }
        let scratch = try ScratchImage()
        let refusal = try scratch.build(archive)
        try #require(refusal == nil)
        #expect(try File.status(scratch.path).size < 16 << 20)
        let mounted = try MountedImage(scratch.path)
        let file = try File.open("/proc/self/fd/\(mounted.root.rawValue)/s", O_RDONLY)
        var bytes = [UInt8](repeating: 9, count: 4)
        #expect(pread(file.rawValue, &bytes, 4, 1 << 40 - 4) == 4)
        #expect(bytes == [0, 0, 4, 5])
        #expect(pread(file.rawValue, &bytes, 4, 0) == 4)
        #expect(bytes == [1, 2, 3, 0])
        #expect(try File.status("/proc/self/fd/\(mounted.root.rawValue)/n").size == 1 << 43)
    }

    @Test("a directory of many names, sorted around the dots")
    func largeDirectory() throws {
        let odd = ["!", "-", "..a", "...", ".a", "a b", "\u{7F}", "ä", String(repeating: "x", count: 255)]
        let names = odd + (0..<3000).map { "file-with-a-longer-name-\($0)" }
        let archive = CraftedTar.archive { tar in
            for name in names.shuffled() {
                tar.add(pax: [("path", "d/" + name)])
                tar.add(file: "x")
            }
        }
        try mount(archive) { mounted, listing in
            #expect(Set(listing.lines.keys) == Set([".", "./d"] + names.map { "./d/\($0)" }))
            for name in names {
                #expect(File.exists("/proc/self/fd/\(mounted.root.rawValue)/d/\(name)"), "\(name)")
            }
        }
    }

    @Test("a root directory with more attributes than the first block can hold")
    func rootAttributes() throws {
        let archive = CraftedTar.archive { tar in
            tar.add(pax: (0..<30).map { ("SCHILY.xattr.user.a\($0)", String(repeating: "v", count: 200 + $0)) })
            tar.add(directory: "./")
            tar.add(file: ".wh..wh..opq")
        }
        try mount(archive) { _, listing in
            let line = listing.lines["."] ?? ""
            #expect(line.contains("trusted.overlay.opaque=79"))
            #expect(line.split(separator: " ").count { $0.hasPrefix("user.a") } == 30)
        }
    }

    @Test("link targets up to the longest the kernel takes")
    func longLinks() throws {
        let targets = [1, 100, 3900, 4031, 4032, 4033, 4095].map { String(repeating: "t", count: $0) }
        let archive = CraftedTar.archive { tar in
            for target in targets {
                tar.add(pax: [("linkpath", target)])
                tar.add(link: "l\(target.count)", to: "x", type: "2")
            }
        }
        try mount(archive) { mounted, _ in
            for target in targets {
                let path = "/proc/self/fd/\(mounted.root.rawValue)/l\(target.count)"
                let read = try File.readLink(path)
                #expect(read == target)
            }
        }
    }

    @Test("a file of more than 64 MiB begins at a multiple of 2 MiB")
    func hugeAlignment() throws {
        var tar = CraftedTar()
        tar.add(file: "small", "x")
        let content = (1...65).flatMap { [UInt8](repeating: $0, count: 1 << 20) }
        tar.add(CraftedTar.Header("weights"), content: content)
        tar.add(file: "after", "y")
        let scratch = try ScratchImage()
        let refusal = try scratch.build(tar.finished())
        try #require(refusal == nil)
        try Self.check(scratch.path)
        let image = try File.open(scratch.path, O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: 4096)
        #expect(pread(image.rawValue, &bytes, 4096, 2 << 20) == 4096)
        #expect(bytes == Array(content[..<4096]))
        let mounted = try MountedImage(scratch.path)
        #expect(try mounted.listing().lines["./weights"]?.contains("sha256 \(Self.hash(content))") == true)
    }

    @Test("the same archive makes the same image, byte for byte")
    func deterministic() throws {
        let archive = CraftedTar.archive { tar in
            for number in 0..<200 {
                tar.add(file: "d\(number % 7)/f\(number)", String(repeating: "x", count: number * 50))
            }
        }
        let images = try (0..<2).map { _ in
            let scratch = try ScratchImage()
            let refusal = try scratch.build(archive)
            try #require(refusal == nil)
            return try File.read(scratch.path)
        }
        #expect(images[0] == images[1])
    }

    static func hash(_ content: [UInt8]) -> String { ContentHash.sha256(of: content).hex }
}
