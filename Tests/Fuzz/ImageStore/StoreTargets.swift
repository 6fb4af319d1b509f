import CLinux
import Glibc
import LinuxSystem
import OCISpec

@testable import ImageStore

extension FuzzTarget {
    static let store = [tar, compression, gzip, zstd, layer, record, dockerArchive]

    /// Whatever the pieces a layer arrives in, it is the same layer.
    private static let tar = FuzzTarget(name: "tar") { bytes throws(FuzzFinding) in
        let whole = try ArchiveContents(reading: [bytes[...]])
        let inPieces = try ArchiveContents(reading: bytes.pieces)
        try promise(whole == inPieces, "reads differently in pieces: \(whole.outcome), then \(inPieces.outcome)")
    }

    private static let compression = FuzzTarget(name: "compression") { bytes throws(FuzzFinding) in
        let whole = try Inflated([bytes[...]], room: 64 << 10)
        let inPieces = try Inflated(bytes.pieces, room: 1000)
        try promise(whole == inPieces, "inflates differently in pieces: \(whole.outcome), then \(inPieces.outcome)")
    }

    /// A layer's archive becomes an EROFS image, or is refused with a reason.
    private static let layer = FuzzTarget(name: "layer") { bytes throws(FuzzFinding) in
        let path = "/dev/shm/mlrun-fuzz.\(getpid()).\(pthread_self())"
        var limits = ArchiveLimits()
        // What one input may write must not fill the machine's memory.
        limits.file = 16 << 20
        limits.entries = 4096
        guard let file = try? ImageFile(creating: path) else { throw FuzzFinding(description: "cannot make \(path)") }
        defer { file.discard() }
        do throws(StoreError) {
            let builder = try LayerBuilder(source: "input", file: file, limits: limits, sparseLimit: 16 << 20)
            for piece in bytes.pieces {
                try Array(piece).withBytes { bytes throws(StoreError) in try builder.consume(bytes) }
            }
            try builder.finish(identifier: Array(repeating: 7, count: 16))
        } catch {
            if case .refusedArchive = error { return }
            throw FuzzFinding(description: "the image cannot be written: \(error)")
        }
        try promise(file.position % 4096 == 0, "the image ends within a block, at \(file.position)")
        try promise(Self.magicNumber(of: path) == 0xE0F5_E1E2, "the image has no superblock")
        // Each of these takes as long as some hundred runs.
        if bytes.hashed % 256 == 0 { try ErofsCheck.run(path) }
    }

    /// The records of layers and images: what the store reads back is what it wrote, or an error.
    private static let record = FuzzTarget(name: "record") { bytes throws(FuzzFinding) in
        guard let json = try? JSON(parsing: bytes) else { return }
        let cursor = JSONCursor(json)
        if let layer = try? LayerRecord(cursor) {
            let again = try? LayerRecord(JSONCursor(layer.json))
            try promise(again == layer, "the layer's record reads differently once written")
        }
        let empty: JSON = ["architecture": "amd64", "os": "linux", "rootfs": ["type": "layers", "diff_ids": []]]
        func configuration(_: Digest) throws(JSONError) -> ImageConfiguration {
            try ImageConfiguration(JSONCursor(empty))
        }
        if let image = try? ImageRecord(cursor, configuration: configuration) {
            let again = try? ImageRecord(JSONCursor(image.json), configuration: configuration)
            try promise(again == image, "the image's record reads differently once written")
            _ = image.size.description + (image.created?.description ?? "")
        }
    }

    /// The manifest.json and the configuration of `docker save`, between a zero byte.
    private static let dockerArchive = FuzzTarget(name: "docker-archive") { bytes throws(FuzzFinding) in
        let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false).map { Array($0) }
        let files = MemoryFiles(manifest: parts[0], others: parts.count > 1 ? parts[1] : [])
        guard let source = try? ImageSource(parsing: "docker-archive:file.tar") else { return }
        guard let plan = try? DockerArchive(files: files, source: source).plan() else { return }
        try promise(plan.extents.count == plan.contents.layers.count, "another number of layers than of contents")
        for reference in plan.references {
            let again = try? ImageReference(parsing: reference)
            try promise(again?.description == reference, "the reference \(reference) is not in its full form")
        }
    }

    private static func magicNumber(of path: String) -> UInt32 {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        var magic: UInt32 = 0
        return pread(descriptor, &magic, 4, 1024) == 4 ? UInt32(littleEndian: magic) : 0
    }
}

/// What a tar archive holds, and how reading it ended.
private struct ArchiveContents: Equatable {
    private(set) var members: [TarEntry] = []
    private(set) var contents: [UInt8] = []
    private(set) var outcome = "complete"

    init(reading pieces: [ArraySlice<UInt8>]) throws(FuzzFinding) {
        let parser = TarParser()
        do throws(ArchiveError) {
            for piece in pieces {
                // Its memory ends where the piece does, so that reading beyond it is noticed.
                let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.count, alignment: 1)
                defer { memory.deallocate() }
                memory.copyBytes(from: piece)
                if let finding = try read(UnsafeRawBufferPointer(memory), parser) {
                    outcome = finding
                    break
                }
            }
            try parser.finish()
        } catch {
            outcome = error.description
        }
        try promise(!outcome.hasPrefix("broken"), outcome)
    }

    private mutating func read(_ piece: UnsafeRawBufferPointer, _ parser: TarParser) throws(ArchiveError) -> String? {
        var input = piece
        while true {
            switch try parser.next(&input) {
            case .needsInput: return input.isEmpty ? nil : "broken: asks for input while there is some"
            case .entry: members.append(parser.entry)
            case .entryEnd: break
            case .data(let data, let offset):
                if offset < 0 || offset + Int64(data.count) > parser.entry.size {
                    return "broken: content beyond the end of \(parser.entry.name)"
                }
                contents.append(contentsOf: data)
            }
        }
    }
}

extension [UInt8] {
    /// FNV-1a, so that a finding can be had again.
    var hashed: UInt64 { reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 } >> 8 }
}

/// What a compressed stream holds, as far as it was read, and how reading it ended.
private struct Inflated: Equatable {
    private(set) var content: [UInt8] = []
    private(set) var outcome = "complete"
    private static let most = 1 << 20

    init(_ pieces: [ArraySlice<UInt8>], room: Int) throws(FuzzFinding) {
        let output = UnsafeMutableRawBufferPointer.allocate(byteCount: room, alignment: 16)
        defer { output.deallocate() }
        var decoder = LayerDecoder()
        do throws(CompressionError) {
            for piece in pieces {
                let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.count, alignment: 1)
                defer { memory.deallocate() }
                memory.copyBytes(from: piece)
                var input = UnsafeRawBufferPointer(memory)
                while true {
                    let written = try decoder.decode(&input, into: output)
                    content.append(contentsOf: output[..<written])
                    // What was read before a fault is not compared: how far a decoder got depends on the pieces.
                    if content.count >= Self.most {
                        content.removeSubrange(Self.most...)
                        outcome = "long"
                        return
                    }
                    if !input.isEmpty || decoder.hasPendingHead || written == room { continue }
                    break
                }
            }
            let written = try decoder.finish(into: output)
            content.append(contentsOf: output[..<written])
        } catch {
            content = []
            outcome = "refused"
        }
    }
}

/// An archive of a manifest and other files that are all alike.
private struct MemoryFiles: ImageFiles {
    let manifest: [UInt8]
    let others: [UInt8]
    var source: String { "input" }

    func file(_ name: String) throws(StoreError) -> Extent? {
        if name == "index.json" { return nil }
        let content = name == "manifest.json" ? manifest : others
        let descriptor = SharedDescriptor(taking: mlr_memfd_create("input", 0))
        do throws(SystemError) { try File.writeAll(content, to: descriptor.rawValue) } catch { throw .system(error) }
        return Extent(file: descriptor, offset: 0, size: Int64(content.count), name: name)
    }
}
