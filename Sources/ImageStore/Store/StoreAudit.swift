internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec
internal import Synchronization

/// One check of a store at work.
struct StoreAudit {
    let store: ImageStore
    var result = StoreCheck()
    /// Layers whose records can be read.
    var layers: [LayerRecord] = []
    /// Files of blobs that are not small.
    private var keptBlobs: [Digest] = []
    /// The files of image records with what they name.
    var records: [Record] = []

    struct Record {
        let path: String
        let reference: String
        let source: String
        let layers: [Digest]
        let blobs: [Digest]
    }

    /// Reads all records, under their lock. Everything small is checked here.
    init(_ store: ImageStore) throws(StoreError) {
        self.store = store
        do throws(SystemError) {
            try readLayerRecords()
            try readImageRecords()
            try readBlobs()
            try readDiffIDs()
            try findUnfinished()
        } catch {
            throw .system(error)
        }
        for layer in layers {
            if let reason = store.fault(of: layer, content: false) { damage(layer, reason) }
        }
        result.layers = layers.count
    }

    // MARK: Findings

    mutating func add(
        _ kind: StoreCheck.Finding.Kind, _ path: String, _ reason: String, layer: Digest? = nil, images: [String] = []
    ) {
        if result.findings.contains(where: { $0.path == path && $0.kind == kind }) { return }
        result.findings.append(
            StoreCheck.Finding(kind: kind, path: path, reason: reason, layer: layer, images: images.sorted()))
    }

    private mutating func damage(_ layer: LayerRecord, _ reason: String) {
        add(
            .damage, store.layerFile(layer.digest), reason, layer: layer.digest,
            images: references(needing: layer.digest)
        )
    }

    func references(needing digest: Digest) -> [String] {
        Set(records.filter { $0.layers.contains(digest) || $0.blobs.contains(digest) }.map(\.reference)).sorted()
    }

    // MARK: Records

    private mutating func readLayerRecords() throws(SystemError) {
        let names = Set(try File.list(store.directories.layers))
        for name in names.sorted() {
            let path = "\(store.directories.layers)/\(name)"
            let hex = String(name.prefix { $0 != "." })
            if name.hasSuffix(".tmp") {
                add(.leftover, path, "was being written by a process that is gone")
            } else if let digest = ImageStore.digest(hex), name == "\(hex).json" {
                do throws(StoreError) {
                    if let record = try store.recordedLayer(digest) { layers.append(record) }
                } catch {
                    add(.damage, path, Self.reason(error), layer: digest)
                }
            } else if let digest = ImageStore.digest(hex), name == "\(hex).erofs" {
                if !names.contains("\(hex).json") {
                    add(.leftover, path, "belongs to no layer that is complete", layer: digest)
                }
            } else {
                add(.leftover, path, "is no file of the store")
            }
        }
    }

    private mutating func readImageRecords() throws(SystemError) {
        let known = Dictionary(layers.map { ($0.digest, $0) }) { first, _ in first }
        for name in try File.list(store.directories.images).sorted() {
            let path = "\(store.directories.images)/\(name)"
            guard name.hasSuffix(".json") else {
                let wasWritten = name.hasSuffix(".tmp")
                add(
                    .leftover, path,
                    wasWritten ? "was being written by a process that is gone" : "is no file of the store")
                continue
            }
            result.images += 1
            let image: ImageRecord?
            do throws(StoreError) { image = try store.record(at: path) } catch {
                read(recordThatFails: path, name, error)
                continue
            }
            guard let image else { continue }
            let blobs = [image.manifestDigest, image.config] + (image.indexDigest.map { [$0] } ?? [])
            records.append(
                Record(
                    path: path, reference: image.reference, source: image.source, layers: image.layers.map(\.digest),
                    blobs: blobs))
            for digest in blobs { checkDocument(digest, of: image) }
            for layer in image.layers { check(layer, known[layer.digest], of: image) }
            if image.layers.map(\.diffID) != image.configuration.diffIDs {
                add(.damage, path, "names other layers than its configuration", images: [image.reference])
            }
        }
    }

    /// A record that cannot be understood still tells by its name which reference it was, and perhaps what it needs.
    private mutating func read(recordThatFails path: String, _ name: String, _ error: StoreError) {
        let json = (try? File.read(path)).flatMap { bytes in try? JSON(parsing: bytes) }
        let reference = json?["reference"]?.string ?? Self.reference(ofFile: name)
        records.append(
            Record(
                path: path, reference: reference, source: json?["source"]?.string ?? reference, layers: [], blobs: []))
        add(.damage, path, "cannot be used: \(Self.reason(error))", images: [reference])
    }

    /// The reference that a record's file is named after.
    private static func reference(ofFile name: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(name.dropLast(".json".count).utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private mutating func checkDocument(_ digest: Digest, of image: ImageRecord) {
        let path = store.blobFile(digest)
        do throws(StoreError) {
            if try store.blob(digest) == nil { add(.damage, path, "is not there", images: [image.reference]) }
        } catch {
            add(.damage, path, Self.reason(error), images: [image.reference])
        }
    }

    private mutating func check(_ named: LayerRecord, _ stored: LayerRecord?, of image: ImageRecord) {
        guard let stored else {
            let path = store.layerRecordFile(named.digest)
            let isDamaged = result.findings.contains { $0.path == path && $0.kind == .damage }
            if !isDamaged { add(.damage, path, "is not there", layer: named.digest) }
            for index in result.findings.indices where result.findings[index].path == path {
                if !result.findings[index].images.contains(image.reference) {
                    result.findings[index].images.append(image.reference)
                }
            }
            return
        }
        if stored.diffID != named.diffID {
            add(
                .damage, store.recordFile(of: image),
                "names the layer \(named.digest) with the content \(named.diffID), which is \(stored.diffID)",
                images: [image.reference])
        }
    }

    static func reason(_ error: StoreError) -> String {
        switch error {
        case .image(.damaged(_, let reason)): reason
        default: error.description
        }
    }

    // MARK: Blobs and what nothing leads to

    private mutating func readBlobs() throws(SystemError) {
        let needed = Set(records.flatMap { $0.blobs + $0.layers })
        let layerDigests = Set(layers.map(\.digest))
        for name in try File.list(store.directories.blobs).sorted() {
            let path = "\(store.directories.blobs)/\(name)"
            guard let digest = ImageStore.digest(name) else {
                let wasWritten = name.hasSuffix(".tmp")
                add(
                    .leftover, path,
                    wasWritten ? "was being written by a process that is gone" : "is no file of the store")
                continue
            }
            if layerDigests.contains(digest)
                || needed.contains(digest) && !records.contains(where: { $0.blobs.contains(digest) })
            {
                keptBlobs.append(digest)
            } else if !needed.contains(digest) {
                add(.leftover, path, "is needed by no image")
            }
        }
        for layer in layers where !needed.contains(layer.digest) {
            add(.leftover, store.layerRecordFile(layer.digest), "is a layer that no image needs", layer: layer.digest)
        }
    }

    private mutating func readDiffIDs() throws(SystemError) {
        let known = Dictionary(layers.map { ($0.digest.hex, $0.diffID.hex) }) { first, _ in first }
        for name in try File.list(store.diffIDs).sorted() {
            let path = "\(store.diffIDs)/\(name)"
            let target = try? File.readLink(path)
            if target.flatMap({ known[$0] }) != name { add(.leftover, path, "leads to no layer with this content") }
        }
    }

    private mutating func findUnfinished() throws(SystemError) {
        let names = try File.list(store.directories.ingest)
        guard !names.isEmpty, let lock = try FileLock(trying: store.ingestLock, exclusive: true) else { return }
        for name in names {
            add(.leftover, "\(store.directories.ingest)/\(name)", "was being written by a process that is gone")
        }
        withExtendedLifetime(lock) {}
    }

    // MARK: Content

    private enum Job {
        case layer(LayerRecord)
        case blob(Digest, size: Int64)
    }

    /// Reads what is large, without a lock: what is removed meanwhile is no damage.
    mutating func readContents(_ progress: @escaping @Sendable (Int64, Int64) -> Void) throws(StoreError) {
        let damaged = Set(result.findings.filter { $0.kind == .damage }.compactMap(\.layer))
        var jobs: [(Int64, Job)] = []
        for layer in layers where !damaged.contains(layer.digest) {
            if layer.fileChecksum == nil {
                result.unverifiedLayers += 1
            } else {
                jobs.append((layer.fileSize, .layer(layer)))
            }
        }
        for digest in keptBlobs {
            guard let status = try? File.status(store.blobFile(digest), followingLinks: false) else { continue }
            jobs.append((Int64(status.size), .blob(digest, size: Int64(status.size))))
        }
        jobs.sort { $0.0 > $1.0 }
        let total = jobs.reduce(0) { $0 + $1.0 }
        let store = store
        let state = Mutex((done: Int64(0), faults: [(LayerRecord, String)](), blobs: [(Digest, String)]()))
        JoinedThread.workOff(jobs, threads: min(4, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))) { length, job in
            switch job {
            case .layer(let layer):
                if let fault = store.fault(of: layer, content: true) {
                    state.withLock { $0.faults.append((layer, fault)) }
                }
            case .blob(let digest, let size):
                if let fault = store.fault(ofBlob: digest, size: size) {
                    state.withLock { $0.blobs.append((digest, fault)) }
                }
            }
            let done = state.withLock { state in
                state.done += length
                return state.done
            }
            progress(done, total)
        }
        let found = state.withLock { $0 }
        result.bytes = total
        // What is gone with its record was removed; what was replaced is checked next time.
        for (layer, fault) in found.faults where (try? store.recordedLayer(layer.digest)) == layer {
            damage(layer, fault)
        }
        for (digest, fault) in found.blobs where File.exists(store.blobFile(digest)) {
            add(.damage, store.blobFile(digest), fault)
        }
    }
}

extension ImageStore {
    /// What is wrong with a blob that is too large to be read into memory; nil when its content has its digest.
    func fault(ofBlob digest: Digest, size: Int64) -> String? {
        do throws(SystemError) {
            let path = blobFile(digest)
            let file = try File.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            var hasher = ContentHasher(like: digest)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
            defer { buffer.deallocate() }
            var offset: Int64 = 0
            while offset < size {
                let piece = UnsafeMutableRawBufferPointer(
                    rebasing: buffer[..<Int(min(size - offset, Int64(buffer.count)))])
                try File.readAll(into: piece, from: file.rawValue, at: offset, path: path)
                hasher.update(UnsafeRawBufferPointer(piece))
                offset += Int64(piece.count)
            }
            let computed = hasher.digest()
            return computed == digest ? nil : "has the content \(computed)"
        } catch {
            return error.errno == .noSuchFile ? "is not there" : "cannot be read: \(error.errno)"
        }
    }
}
