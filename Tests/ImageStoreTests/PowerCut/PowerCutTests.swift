import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

private let canRecord = canMount && access("/dev/fuse", R_OK | W_OK) == 0 && Command.has("mkfs.ext4", "mount", "umount")

/// The store on an ext4 on a loop device on a disk that records what is written. The power is cut at every flush: with
/// all that was written before it, and with only some of it, in pieces and out of order, as a disk with a cache may have
/// it. After each cut the file system recovers, the store opens, and what it lists must be whole.
@Suite("a power cut", .enabled(if: canRecord, "needs root, FUSE, loop devices and mkfs.ext4"))
struct PowerCutTests {
    private static let diskSize = 24 << 20

    /// What the store listed after each step of the work, and the events of the disk before and after it.
    private struct Step: Sendable {
        var name: String
        var begin: Int
        var end: Int
        /// Reference to manifest.
        var images: [String: String]
    }

    private struct Recording: Sendable {
        var base: [UInt8]
        var events: [RecordedDisk.Event]
        var steps: [Step]
    }

    private static func layouts(_ path: String) throws {
        let layers = [largeLayer("a", seed: 81), smallLayer("b", "B"), smallLayer("c", "C")]
        for (name, order) in [("one", [0, 1]), ("two", [1, 0, 2]), ("three", [2])] {
            let layout = try OCILayout("\(path)/\(name)")
            try layout.publish(
                try layout.addImage(order.map { layers[$0] }, command: "/bin/\(name)"), as: "v1")
        }
    }

    private static func source(_ path: String, _ name: String) throws -> ImageSource {
        guard let source = try ImageSource(parsing: "oci:\(path)/\(name)") else {
            throw SystemError("find", path: name, .noSuchFile)
        }
        return source
    }

    private static func directories(_ mount: String, _ path: String) -> MLRunDirectories {
        MLRunDirectories(root: "\(mount)/root", state: "\(path)/state")
    }

    private static func listed(_ store: ImageStore) throws -> [String: String] {
        var images: [String: String] = [:]
        for image in try store.images() where image.reference != ImageRecord.untagged {
            images[image.reference] = image.manifestDigest.description
        }
        return images
    }

    /// Everything that changes a store, on the recorded disk.
    private static func record(_ path: String) throws -> Recording {
        let file = "\(path)/base"
        try File.replace(file, with: [UInt8](repeating: 0, count: diskSize), durable: false)
        try Command.succeed("mkfs.ext4", "-q", "-b", "4096", "-E", "lazy_itable_init=0,lazy_journal_init=0", file)
        let base = try File.read(file)
        let (fuse, mount) = ("\(path)/fuse", "\(path)/mount")
        for directory in [fuse, mount] { try File.makeDirectories(directory) }
        let disk = try RecordedDisk(at: fuse, content: base)
        try Command.succeed("mount", "-t", "ext4", "-o", "loop", disk.path, mount)
        var steps: [Step] = [Step(name: "empty", begin: 0, end: 0, images: [:])]
        var opened: ImageStore?
        func step(_ name: String, _ body: (ImageStore) throws -> Void) throws {
            let begin = disk.count
            let store = try opened ?? ImageStore(directories(mount, path))
            opened = store
            try body(store)
            steps.append(Step(name: name, begin: begin, end: disk.count, images: try listed(store)))
        }
        try step("import one") { _ = try $0.importImage(from: try source(path, "one")) { _ in } }
        try step("import two, which shares layers") { _ = try $0.importImage(from: try source(path, "two")) { _ in } }
        try step("give the reference of two to three") {
            _ = try $0.importImage(
                from: try source(path, "three"), as: try ImageReference(parsing: "localhost/two:v1")
            ) { _ in }
        }
        try step("remove one") { _ = try $0.remove("localhost/one:v1") }
        try step("prune") { _ = try $0.prune(all: false, grace: 0) }
        try step("import one again") { _ = try $0.importImage(from: try source(path, "one")) { _ in } }
        try step("remove everything") { _ = try $0.prune(all: true, grace: 0) }
        try step("import two in the end") { _ = try $0.importImage(from: try source(path, "two")) { _ in } }
        let events = disk.events
        try Command.succeed("umount", mount)
        try check(mlr_umount(fuse, Int32(MLR_MNT_DETACH)), "unmount", path: fuse)
        return Recording(base: base, events: events, steps: steps)
    }

    /// One state that the disk may be in after a cut.
    private struct Cut {
        /// Everything up to this flush is there; -1 for none.
        var durable: Int
        /// Nothing after this event is there.
        var last: Int
        var content: [UInt8]
    }

    /// Hands over the disk after a cut at each flush: whole, with a part of what the flush was to bring, or with none.
    private static func forEachCut(_ recording: Recording, _ body: (Cut) throws -> Void) throws {
        var content = recording.base
        var pending: [(Int, [UInt8])] = []
        var durable = -1
        var numbers = SeededNumbers(seed: 7)
        for (index, event) in recording.events.enumerated() {
            switch event {
            case .write(let offset, let bytes): pending.append((offset, bytes))
            case .flush:
                if pending.isEmpty {
                    durable = index
                    continue
                }
                var torn = content
                // In pieces of one block, some of which are there: a disk reorders, and does not finish, what it caches.
                for (offset, bytes) in pending.shuffled(using: &numbers) {
                    for start in stride(from: 0, to: bytes.count, by: 4096) where Bool.random(using: &numbers) {
                        let end = min(start + 4096, bytes.count)
                        torn.replaceSubrange(offset + start..<offset + end, with: bytes[start..<end])
                    }
                }
                try body(Cut(durable: durable, last: index, content: torn))
                for (offset, bytes) in pending { content.replaceSubrange(offset..<offset + bytes.count, with: bytes) }
                pending = []
                durable = index
                // Whole states hold fewer surprises than torn ones.
                if index % 3 == 0 { try body(Cut(durable: durable, last: index, content: content)) }
            }
        }
    }

    /// What is wrong with the store on a disk after a cut; empty when nothing is.
    private static func examine(_ cut: Cut, _ recording: Recording, _ path: String, completing: Bool) throws -> [String]
    {
        let (file, mount) = ("\(path)/cut", "\(path)/mount")
        let disk = try File.open(file, O_RDWR | O_CREAT | O_TRUNC, mode: 0o600)
        try File.writeAll(cut.content, to: disk.rawValue, path: file)
        try Command.succeed("mount", "-t", "ext4", "-o", "loop", file, mount)
        defer { _ = mlr_umount(mount, 0) }
        var problems: [String] = []
        let store = try ImageStore(directories(mount, path))
        let listed = try listed(store)
        let found = try store.audit(repair: false)
        for finding in found.findings where finding.kind == .damage {
            problems.append("\(finding.path) \(finding.reason)")
        }
        if try !File.list(store.directories.ingest).isEmpty { problems.append("ingest/ is not swept") }
        // Between what must be there and what may be.
        let first = recording.steps.lastIndex { step in
            let needed = recording.events[..<step.end].lastIndex { if case .flush = $0 { true } else { false } } ?? -1
            return needed <= cut.durable
        }
        let last = recording.steps.lastIndex { $0.begin <= cut.last } ?? 0
        let possible = recording.steps[(first ?? 0)...max(first ?? 0, last)]
        for reference in Set(possible.flatMap(\.images.keys)).union(listed.keys)
        where !possible.contains(where: { $0.images[reference] == listed[reference] }) {
            problems.append(
                "\(reference) is \(listed[reference] ?? "absent") between \(possible.first?.name ?? "") and "
                    + "\(possible.last?.name ?? "")")
        }
        if completing {
            _ = try store.importImage(from: try source(path, "one")) { _ in }
            _ = try store.importImage(from: try source(path, "two")) { _ in }
            if try store.audit(repair: false).isDamaged { problems.append("damage after the next import") }
            if try store.images().count < 2 { problems.append("the next import is not listed") }
        }
        return problems
    }

    @Test("at every flush, with any part of what came before it, leaves a store that opens and lists only whole images")
    func everyFlush() async throws {
        let test = try TestStore()
        try Self.layouts(test.path)
        let path = test.path
        let (problems, cuts, flushes, partial) = try await inPrivateMounts {
            // What is written is soon read again, by the loop device: in memory it is quick.
            let scratch = "\(path)/scratch"
            try File.makeDirectories(scratch)
            try check(mlr_mount("tmpfs", scratch, "tmpfs", 0, "size=512m"), "mount", path: scratch)
            for name in ["one", "two", "three"] {
                guard symlink("\(path)/\(name)", "\(scratch)/\(name)") == 0 else {
                    throw SystemError("link", path: name, Errno(rawValue: errno))
                }
            }
            let recording = try Self.record(scratch)
            var problems: [String] = []
            var (cuts, partial) = (0, 0)
            try Self.forEachCut(recording) { cut in
                cuts += 1
                if cut.durable < cut.last { partial += 1 }
                do {
                    let found = try Self.examine(cut, recording, scratch, completing: cuts % 16 == 0)
                    problems += found.map { "cut at event \(cut.last), durable to \(cut.durable): \($0)" }
                } catch {
                    problems.append("cut at event \(cut.last), durable to \(cut.durable): \(error)")
                }
            }
            let flushes = recording.events.count { if case .flush = $0 { true } else { false } }
            return (problems, cuts, flushes, partial)
        }
        #expect(problems == [])
        // An import alone flushes three times a layer.
        #expect(flushes > 60 && cuts > 40 && partial > 30, "\(flushes) flushes, \(cuts) cuts")
    }
}
