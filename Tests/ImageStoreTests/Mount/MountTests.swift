import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

/// Whether this process may mount what the store mounts.
let canMount: Bool = {
    guard geteuid() == 0, let types = try? File.readText("/proc/filesystems"), types.contains("\terofs\n"),
        types.contains("\toverlay\n"), let context = try? FileSystemContext("erofs")
    else { return false }
    withExtendedLifetime(context) {}
    return true
}()

@Suite("mounting images", .enabled(if: canMount, "needs root, erofs and overlayfs"))
struct MountTests {
    /// Three layers: a base, one that hides and replaces, and one that is there twice.
    private func imported(_ test: TestStore, layers: [[UInt8]]? = nil) throws -> ImageRecord {
        var base = TarBuilder()
        base.directory("./", mode: 0o755)
        base.directory("etc/")
        base.file("etc/name", "base")
        base.file("etc/gone", "x")
        base.directory("data/", uid: 7, gid: 8)
        base.file("data/old", "x")
        base.file("data/owned", "mine", mode: 0o4755, uid: 1000, gid: 1001)
        var upper = TarBuilder()
        upper.file("etc/.wh.gone", "")
        upper.file("etc/name", "upper")
        upper.directory("data/", mode: 0o700, uid: 7, gid: 8)
        upper.file("data/.wh..wh..opq", "")
        upper.file("data/new", "n", uid: 1000, gid: 1001)
        let twice = smallLayer("twice", "t")
        let layout = try OCILayout("\(test.path)/image-\(File.randomName())")
        try layout.publish(
            try layout.addImage(layers ?? [twice, base.finished(), upper.finished(), twice]), as: "v1")
        return try test.store.importImage(from: try #require(try ImageSource(parsing: "oci:\(layout.path)"))) { _ in }
    }

    private func checkContent(_ root: borrowing OwnedDescriptor) throws {
        #expect(try File.readText("etc/name", in: root.rawValue) == "upper")
        #expect(try File.readText("twice", in: root.rawValue) == "t")
        #expect(!File.exists("etc/gone", in: root.rawValue))
        let data = try File.open("data", O_RDONLY | O_DIRECTORY, in: root.rawValue)
        #expect(try File.list(data.rawValue) == ["new"])
    }

    @Test("a writable root shows all layers, takes changes into scratch, and takes them up again")
    func writable() throws {
        let test = try TestStore()
        let image = try imported(test)
        let scratch = "\(test.path)/scratch"
        do {
            let root = try test.store.mountRoot(
                of: image, scratch: scratch, idMapping: nil, readOnly: false, volatile: true)
            try checkContent(root)
            let file = try File.open("etc/written", O_WRONLY | O_CREAT, mode: 0o600, in: root.rawValue)
            try File.writeAll(Array("w".utf8), to: file.rawValue)
            #expect(try File.status("data/new", in: root.rawValue).uid == 1000)
        }
        #expect(try File.readText("\(scratch)/upper/etc/written") == "w")
        let again = try test.store.mountRoot(
            of: image, scratch: scratch, idMapping: nil, readOnly: false, volatile: false)
        #expect(try File.readText("etc/written", in: again.rawValue) == "w")
    }

    @Test("a read-only root refuses writing, with one layer as with several, and shows no whiteouts")
    func readOnly() throws {
        let test = try TestStore()
        var one = TarBuilder()
        one.file("a", "A", mode: 0o4755)
        one.file(".wh.nothing", "")
        for image in [try imported(test), try imported(test, layers: [one.finished()])] {
            let root = try test.store.mountRoot(
                of: image, scratch: nil, idMapping: nil, readOnly: true, volatile: false)
            let error = #expect(throws: SystemError.self) {
                _ = try File.open("new", O_WRONLY | O_CREAT, mode: 0o600, in: root.rawValue)
            }
            #expect(error?.errno == .readOnlyFileSystem)
            let entries = try File.open(".", O_RDONLY | O_DIRECTORY, in: root.rawValue)
            #expect(!(try File.list(entries.rawValue)).contains("nothing"))
        }
    }

    @Test("layers are mounted once, file-backed, and used again")
    func reused() throws {
        let test = try TestStore()
        let image = try imported(test)
        let first = try test.store.mountLayers(of: image)
        let second = try test.store.mountLayers(of: image)
        #expect(first.map(\.path) == second.map(\.path))
        for (one, other) in zip(first, second) {
            #expect(
                try File.status(of: one.directory.rawValue).mount_id
                    == File.status(of: other.directory.rawValue).mount_id)
        }
        let table = try File.readText("/proc/self/mountinfo")
        let lines = table.split(separator: "\n").filter { $0.contains(first[0].path) }
        let line = try #require(lines.first)
        #expect(lines.count == 1)
        #expect(line.contains("nodev") && !line.contains("nosuid") && line.contains(" - erofs "))
        #expect(!line.contains("shared:"))
    }

    @Test("threads that mount the same image at the same time share its mounts")
    func concurrently() async throws {
        let test = try TestStore()
        let image = try imported(test)
        let store = test.store
        try await withThrowingTaskGroup { group in
            for _ in 0..<8 {
                group.addTask { try store.mountLayers(of: image).map(\.path) }
            }
            for try await paths in group { #expect(paths.count == 4) }
        }
        let table = try File.readText("/proc/self/mountinfo")
        let count = table.split(separator: "\n").filter { $0.contains("\(test.store.directories.layerMounts)/") }.count
        #expect(count == 3)
    }

    @Test(
        "through a user namespace the image's root is the mapped root, and so is what it writes on disk",
        .enabled(if: Command.has("unshare"), "needs unshare"))
    func mapped() throws {
        let test = try TestStore()
        let image = try imported(test)
        let process = try UserNamespaceProcess(first: 100_000)
        let mapping = OwnerMapping(userNamespace: process.namespace, rootUID: 100_000, rootGID: 100_000)
        for support in Self.idmapSupports {
            let scratch = "\(test.path)/scratch-\(File.randomName())"
            let root = try test.store.mountRoot(
                of: image, scratch: scratch, idMapping: mapping, readOnly: false, volatile: false, support: support)
            try checkContent(root)
            for (name, uid, gid) in [
                ("etc/name", 100_000, 100_000), ("data/new", 101_000, 101_001), ("data", 100_007, 100_008),
                (".", 100_000, 100_000),
            ] as [(String, UInt32, UInt32)] {
                let status = try File.status(name, in: root.rawValue)
                #expect(status.uid == uid && status.gid == gid, "\(name): \(status.uid):\(status.gid)")
            }
            // The kernel must know the inner root as owner: a change of mode copies the file up under its mapped ids.
            #expect(fchmodat(root.rawValue, "data/new", 0o600, 0) == 0)
            let copied = try File.status("\(scratch)/upper/data/new")
            #expect(copied.uid == 101_000 && copied.gid == 101_001)
            let upper = try File.status("\(scratch)/upper")
            #expect(upper.uid == 100_000 && upper.gid == 100_000 && upper.mode & 0o7777 == 0o755)
        }
        let readOnly = try test.store.mountRoot(
            of: image, scratch: nil, idMapping: mapping, readOnly: true, volatile: false)
        #expect(try File.status("etc/name", in: readOnly.rawValue).uid == 100_000)
        let left = try File.list(test.store.directories.state)
        #expect(left.sorted() == ["layers"])
    }

    private static var idmapSupports: [MountSupport] {
        var attached = MountSupport()
        attached.detachedLowers = false
        var paths = MountSupport()
        paths.lowerByDescriptor = false
        return [MountSupport(), attached, paths]
    }

    @Test(
        "every fallback for older kernels gives the same root",
        arguments: ["path", "string", "page", "attached", "loop"])
    func fallbacks(_ kind: String) throws {
        let test = try TestStore()
        let image = try imported(test)
        var support = MountSupport()
        support.lowerByDescriptor = false
        switch kind {
        case "path": break
        case "string": support.lowerByPath = false
        case "page":
            support.lowerByPath = false
            support.longestOption = 0
        case "attached": support.detachedLowers = false
        default: support.fileBacked = false
        }
        if kind == "loop", access("/dev/loop-control", F_OK) != 0 { return }
        for isWritable in [true, false] {
            let root = try test.store.mountRoot(
                of: image, scratch: isWritable ? "\(test.path)/scratch" : nil, idMapping: nil, readOnly: !isWritable,
                volatile: isWritable, support: support)
            try checkContent(root)
            let error = storeErrno { _ = try File.open("new", O_WRONLY | O_CREAT, mode: 0o600, in: root.rawValue) }
            #expect(error == (isWritable ? nil : .readOnlyFileSystem))
        }
        if kind == "loop" {
            let table = try File.readText("/proc/self/mountinfo")
            #expect(table.split(separator: "\n").contains { $0.contains(test.path) && $0.contains("/dev/loop") })
        }
    }

    private func storeErrno(_ body: () throws -> Void) -> Errno? {
        do { try body() } catch { return (error as? SystemError)?.errno }
        return nil
    }

    @Test("an image is removed while its root is mounted: the root goes on, the layers' mounts and files are gone")
    func removedWhileMounted() throws {
        let test = try TestStore()
        let image = try imported(test)
        let root = try test.store.mountRoot(of: image, scratch: nil, idMapping: nil, readOnly: true, volatile: false)
        let removal = try test.store.remove(image.reference)
        #expect(removal.deletedLayers.count == 3)
        #expect(removal.freedBytes > 0)
        #expect(try File.list(test.store.directories.layerMounts) == [])
        try checkContent(root)
        #expect(try test.residue() == [])
        #expect(
            storeError {
                _ = try test.store.mountRoot(of: image, scratch: nil, idMapping: nil, readOnly: true, volatile: false)
            } == .image(.incomplete(image: image.reference, missing: image.layers[0].digest)))
    }

    @Test("a layer whose mount somebody holds is not removed")
    func heldMount() throws {
        let test = try TestStore()
        let image = try imported(test)
        do {
            let mounts = try test.store.mountLayers(of: image)
            let held = mounts[1]
            let removal = try test.store.remove(image.reference)
            #expect(removal.deletedLayers.count == 0 || !removal.deletedLayers.contains(held.layer.digest))
            #expect(try test.store.layer(held.layer.digest) == held.layer)
            withExtendedLifetime(mounts) {}
        }
        #expect(try test.store.prune(all: true, grace: 0).deletedLayers.count == 3)
        #expect(try test.residue() == [])
    }

    @Test("more layers than overlayfs stacks are an error that says so")
    func tooMany() throws {
        let test = try TestStore()
        var image = try imported(test)
        image.layers = (0...ImageStore.mostLayers).map { number in
            var layer = image.layers[0]
            layer.digest = ContentHash.sha256(of: Array("\(number)".utf8))
            return layer
        }
        let error = storeError {
            _ = try test.store.mountRoot(of: image, scratch: nil, idMapping: nil, readOnly: true, volatile: false)
        }
        #expect(error == .image(.tooManyLayers(image: image.reference, count: 501)))
        #expect(error?.description.contains("501 layers, the kernel stacks 500") == true)
    }

    @Test("a root of ten layers shows the files of all")
    func many() throws {
        let test = try TestStore()
        let image = try imported(test, layers: (0..<10).map { smallLayer("file-\($0)", "\($0)") })
        let root = try test.store.mountRoot(
            of: image, scratch: "\(test.path)/scratch", idMapping: nil, readOnly: false, volatile: true)
        for number in 0..<10 { #expect(try File.readText("file-\(number)", in: root.rawValue) == "\(number)") }
    }
}
