import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

@Suite("Exporting images to directories")
struct DirectoryExportTests {
    private static func image(_ test: TestStore, _ layers: [[UInt8]]) throws -> ImageRecord {
        let layout = try OCILayout("\(test.path)/layout-\(File.randomName())")
        try layout.publish(try layout.addImage(layers), as: "v1")
        return try test.store.importImage(from: try #require(try ImageSource(parsing: "oci:\(layout.path)"))) { _ in }
    }

    private static func tar(_ fill: (inout TarBuilder) -> Void) -> [UInt8] {
        var tar = TarBuilder()
        fill(&tar)
        return tar.finished()
    }

    /// Every path below a directory with its content or target.
    private static func tree(_ path: String) throws -> [String: String] {
        let listing = try Command.run(["find", path, "-mindepth", "1", "-printf", "%P\\t%y\\t%m\\t%l\\n"]).output
        var tree: [String: String] = [:]
        for line in listing.split(separator: "\n") {
            let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            let content = parts[1] == "f" ? String(try File.readText("\(path)/\(parts[0])").prefix(40)) : parts[3]
            tree[parts[0]] = "\(parts[1]) \(parts[2]) \(content)"
        }
        return tree
    }

    @Test("layers lie over each other: deletions, opaque directories, links and modes are what a container sees")
    func merged() throws {
        let test = try TestStore()
        let lower = Self.tar {
            $0.directory("etc/", mode: 0o755)
            $0.file("etc/kept", "lower")
            $0.file("etc/replaced", "lower")
            $0.file("etc/deleted", "lower")
            $0.directory("opaque/")
            $0.file("opaque/hidden", "lower")
            $0.directory("gone/")
            $0.file("gone/too", "lower")
            $0.directory("becomes-file/")
            $0.file("becomes-file/x", "lower")
            $0.file("big", String(repeating: "0123456789", count: 100_000))
            $0.file("first", "linked", mode: 0o640)
            $0.link("second", to: "first", hard: true)
        }
        let upper = Self.tar {
            $0.directory("etc/", mode: 0o700)
            $0.file("etc/replaced", "upper", mode: 0o4755)
            $0.file("etc/.wh.deleted", "")
            $0.directory("opaque/")
            $0.file("opaque/.wh..wh..opq", "")
            $0.file("opaque/seen", "upper")
            $0.file(".wh.gone", "")
            $0.file("becomes-file", "upper")
            $0.link("link", to: "/etc/passwd")
        }
        let image = try Self.image(test, [lower, upper])
        let target = "\(test.path)/out"
        let report = try test.store.export(image, to: target)
        #expect(
            try Self.tree(target) == [
                "etc": "d 700 ", "etc/kept": "f 644 lower", "etc/replaced": "f 4755 upper", "opaque": "d 755 ",
                "opaque/seen": "f 644 upper", "becomes-file": "f 644 upper", "link": "l 777 /etc/passwd",
                "big": "f 644 0123456789012345678901234567890123456789", "first": "f 640 linked",
                "second": "f 640 linked",
            ])
        let first = try File.status("\(target)/first")
        let second = try File.status("\(target)/second")
        #expect(first.links == 2 && first.inode == second.inode)
        #expect(first.modified_seconds == 1_700_000_000)
        #expect(try File.read("\(target)/big").count == 1_000_000)
        #expect(report.files == 7 && report.attributesNotKept == [:])
    }

    @Test("only root keeps owners; for others what was not kept is counted")
    func owners() throws {
        let test = try TestStore()
        let image = try Self.image(test, [Self.tar { $0.file("owned", "x", uid: 1234, gid: 5678) }])
        let report = try test.store.export(image, to: "\(test.path)/out")
        let status = try File.status("\(test.path)/out/owned")
        if geteuid() == 0 {
            #expect(status.uid == 1234 && status.gid == 5678 && report.ownersNotKept == 0)
        } else {
            #expect(status.uid == geteuid() && report.ownersNotKept >= 1)
        }
    }

    @Test("an empty directory is filled; one that is not is refused and stays as it is")
    func target() throws {
        let test = try TestStore()
        let image = try Self.image(test, [Self.tar { $0.file("a", "b") }])
        let target = "\(test.path)/out"
        try File.makeDirectories(target)
        _ = try test.store.export(image, to: target)
        #expect(try File.list(target) == ["a"])
        #expect(storeError { _ = try test.store.export(image, to: target) } == .image(.notEmpty(path: target)))
        #expect(try File.readText("\(target)/a") == "b")
        try File.replace("\(test.path)/file", with: [])
        #expect(storeError { _ = try test.store.export(image, to: "\(test.path)/file") } != nil)
    }

    @Test("a damaged layer ends the export, and nothing of it is left", arguments: [0, 1024, 1036, 1200])
    func damaged(at offset: Int) throws {
        let test = try TestStore()
        let image = try Self.image(test, [Self.tar { $0.file("a", "b") }])
        let file = test.store.layerFile(image.layers[0].digest)
        var bytes = try File.read(file)
        bytes.replaceSubrange(1024..<bytes.count, with: [UInt8](repeating: 0xFF, count: bytes.count - 1024))
        bytes[offset] = 0xFF
        try File.replace(file, with: bytes)
        #expect(storeError { _ = try test.store.export(image, to: "\(test.path)/out") } != nil)
        #expect(!File.exists("\(test.path)/out"))
    }
}
