internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// The uncompressed content of one layer on its way into an archive that must say its size first: on disk below
/// `ingest/`, without a name.
final class InflatedSpool {
    private let diffID: Digest
    private let source: String
    private let file: SharedDescriptor
    private let directory: String
    private let contentLimit: Int64
    private var decoder = LayerDecoder()
    private var hasher: ContentHasher
    private var size: Int64 = 0
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)

    init(_ diffID: Digest, _ descriptor: Descriptor, in store: ImageStore) throws(StoreError) {
        self.diffID = diffID
        source = "layer \(descriptor.digest)"
        directory = store.directories.ingest
        hasher = ContentHasher(like: diffID)
        let byRatio = descriptor.size.multipliedReportingOverflow(by: 20)
        contentLimit = max(byRatio.overflow ? .max : byRatio.partialValue, 1 << 30)
        do throws(SystemError) {
            let path = "\(directory)/\(File.randomName()).spool"
            let opened = try File.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
            try File.removeIfPresent(path)
            file = SharedDescriptor(opened)
        } catch {
            throw .full(error, directory: store.directories.ingest, needed: descriptor.size)
        }
    }

    deinit { output.deallocate() }

    func write(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        var rest = bytes
        var written = 0
        repeat {
            do throws(CompressionError) { written = try decoder.decode(&rest, into: output) } catch {
                throw .damagedCompression(source: source, error)
            }
            try append(written)
        } while !rest.isEmpty || written == output.count || decoder.hasPendingHead
    }

    /// The content, verified.
    func finish() throws(StoreError) -> Extent {
        let written: Int
        do throws(CompressionError) { written = try decoder.finish(into: output) } catch {
            throw .damagedCompression(source: source, error)
        }
        try append(written)
        let computed = hasher.digest()
        guard computed == diffID else {
            throw .image(.damaged(path: source, reason: "its content is \(computed), not \(diffID)"))
        }
        return Extent(file: file, offset: 0, size: size, name: source)
    }

    private func append(_ count: Int) throws(StoreError) {
        let piece = UnsafeRawBufferPointer(rebasing: output[..<count])
        size += Int64(count)
        if size > contentLimit { throw .damagedCompression(source: source, .expandsTooMuch(limit: contentLimit)) }
        hasher.update(piece)
        do throws(SystemError) { try File.writeAll(piece, to: file.rawValue, path: directory) } catch {
            throw .full(error, directory: directory, needed: 0)
        }
    }
}
