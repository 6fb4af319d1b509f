internal import CLinux
internal import Glibc
internal import LinuxSystem
public import OCISpec

extension ImageStore {
    func layerFile(_ digest: Digest) -> String { "\(directories.layers)/\(digest.hex).erofs" }
    func layerRecordFile(_ digest: Digest) -> String { "\(directories.layers)/\(digest.hex).json" }

    /// The layer by the digest of its blob; nil when the store does not hold it complete.
    public func layer(_ digest: Digest) throws(StoreError) -> LayerRecord? {
        guard let record = try recordedLayer(digest) else { return nil }
        // A record outlives its file only where somebody removed the file by hand: fetched again, both are right again.
        guard let status = try? File.status(layerFile(digest)), Int64(status.size) == record.fileSize else {
            return nil
        }
        return record
    }

    /// The layer that a manifest and a configuration name; nil when the store does not hold it.
    ///
    /// - Throws: ``StoreError`` when the store holds the blob, and the manifest lies about its size or the configuration
    ///   about what is in it: as if it had been fetched.
    public func layer(_ descriptor: Descriptor, diffID: Digest?) throws(StoreError) -> LayerRecord? {
        guard let record = try layer(descriptor.digest) else { return nil }
        guard record.compressedSize == descriptor.size else {
            throw .wrongSize(blob: record.digest, expected: descriptor.size, received: record.compressedSize)
        }
        guard diffID == nil || record.diffID == diffID else {
            throw .wrongDiffID(layer: record.digest, expected: diffID ?? record.diffID, computed: record.diffID)
        }
        return record
    }

    /// What was written of a layer, whether or not its file is there.
    func recordedLayer(_ digest: Digest) throws(StoreError) -> LayerRecord? {
        let path = layerRecordFile(digest)
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try File.read(path, limit: 1 << 20)
        } catch {
            if error.errno == .noSuchFile { return nil }
            throw .system(error)
        }
        let record: LayerRecord
        do throws(JSONError) { record = try LayerRecord(JSONCursor(JSON(parsing: bytes))) } catch {
            throw .image(.damaged(path: path, reason: "\(error)"))
        }
        guard record.digest == digest else {
            throw .image(.damaged(path: path, reason: "it describes the layer \(record.digest)"))
        }
        return record
    }

    /// A layer whose uncompressed content has this digest, whatever it was transported as; nil when there is none.
    public func layer(diffID: Digest) throws(StoreError) -> LayerRecord? {
        guard let hex = try? File.readLink("\(diffIDs)/\(diffID.hex)"),
            let digest = Digest("\(hex.utf8.count == 64 ? "sha256" : "sha512"):\(hex)"),
            let record = try layer(digest), record.diffID == diffID
        else { return nil }
        return record
    }

    /// Waits until nobody else brings this layer into the store. Look with ``layer(_:)`` after that: it may be there
    /// now.
    public func lockLayer(_ digest: Digest) throws(StoreError) -> LayerLock {
        do throws(SystemError) {
            return LayerLock(try .acquire("\(directories.locks)/\(digest.hex).ingest", exclusive: true))
        } catch {
            throw .system(error)
        }
    }

    /// Like ``lockLayer(_:)`` without waiting, for callers that must not block their thread: nil while somebody else
    /// has it.
    public func lockLayerIfFree(_ digest: Digest) throws(StoreError) -> LayerLock? {
        do throws(SystemError) {
            let lock = try DigestLock.acquireIfFree("\(directories.locks)/\(digest.hex).ingest", exclusive: true)
            return lock.map { LayerLock($0) }
        } catch {
            throw .system(error)
        }
    }

    /// Keeps layers, whether there already or still to come, from garbage collection for as long as the result lives.
    public func pinLayers(_ digests: some Sequence<Digest>) throws(StoreError) -> LayerPins {
        var locks: [DigestLock] = []
        do throws(SystemError) {
            // In one order everywhere; a set, since an image may have the same layer twice.
            for digest in Set(digests).sorted(by: { $0.hex < $1.hex }) {
                locks.append(try .acquire(pinFile(digest), exclusive: false))
            }
        } catch {
            throw .system(error)
        }
        return LayerPins(locks)
    }

    /// Begins to bring a layer into the store. Whoever calls this should hold ``lockLayer(_:)``, lest the same layer be
    /// fetched twice, and ``pinLayers(_:)`` until the image is recorded.
    ///
    /// - Parameters:
    ///   - descriptor: Digest, size and media type of the blob as transported.
    ///   - expectedDiffID: What the uncompressed content must hash to, where that is known yet.
    public func ingestLayer(_ descriptor: Descriptor, expectedDiffID: Digest?) throws(StoreError) -> LayerIngest {
        let presence: WriterPresence
        do throws(SystemError) {
            presence = WriterPresence(try FileLock(ingestLock, exclusive: false))
        } catch {
            throw .system(error)
        }
        return try LayerIngest(
            descriptor, expectedDiffID: expectedDiffID, directories: directories,
            published: { record throws(StoreError) in
                do throws(SystemError) { try indexDiffID(of: record) } catch { throw .system(error) }
                withExtendedLifetime(presence) {}
            })
    }

    func pinFile(_ digest: Digest) -> String { "\(directories.locks)/\(digest.hex).pin" }

    /// Lets ``layer(diffID:)`` find a layer. Losing it costs a second copy, so it is not flushed.
    func indexDiffID(of layer: LayerRecord) throws(SystemError) {
        let path = "\(diffIDs)/\(layer.diffID.hex)"
        if (try? File.readLink(path)) == layer.digest.hex { return }
        let temporary = "\(path).\(File.randomName()).tmp"
        if symlink(layer.digest.hex, temporary) < 0 {
            throw SystemError("create the link", path: temporary, Errno(rawValue: errno))
        }
        try File.rename(temporary, to: path)
    }
}

/// Says that somebody writes into `ingest/`, as long as it lives.
private final class WriterPresence: Sendable {
    private let lock: FileLock

    init(_ lock: consuming FileLock) { self.lock = lock }
}
