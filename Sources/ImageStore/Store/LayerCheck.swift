internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

extension ImageStore {
    /// What is wrong with a layer's file, in words that read after its path; nil when it is what was written.
    ///
    /// - Parameter content: also reads all of it, where a checksum was recorded.
    func fault(of layer: LayerRecord, content: Bool) -> String? {
        do throws(SystemError) {
            let path = layerFile(layer.digest)
            let file = try Self.openForChecking(path)
            let status = try File.status(of: file.rawValue)
            guard status.mode & S_IFMT == S_IFREG else { return "is no regular file" }
            guard Int64(status.size) == layer.fileSize else {
                return "has \(status.size) bytes where \(layer.fileSize) were written"
            }
            let block = UnsafeMutableRawBufferPointer.allocate(byteCount: Erofs.blockSize, alignment: Erofs.blockSize)
            defer { block.deallocate() }
            if status.size < UInt64(block.count) { return "is too short for an EROFS image" }
            try File.readAll(into: block, from: file.rawValue, at: 0, path: path)
            if let fault = Self.fault(ofFirstBlock: block, size: layer.fileSize) { return fault }
            guard content, let expected = layer.fileChecksum else { return nil }
            let computed = try ImageChecksum.compute(length: layer.fileSize) { offset, room throws(SystemError) in
                try File.readAll(into: room, from: file.rawValue, at: offset, path: path)
            }
            if computed != expected {
                let (now, then) = (String(computed, radix: 16), String(expected, radix: 16))
                return "has other content than was written: its CRC-64 is \(now) instead of \(then)"
            }
            return nil
        } catch {
            return error.errno == .noSuchFile ? "is not there" : "cannot be read: \(error.errno)"
        }
    }

    /// The superblock, with its checksum.
    private static func fault(ofFirstBlock block: UnsafeMutableRawBufferPointer, size: Int64) -> String? {
        let superblock = UnsafeMutableRawBufferPointer(rebasing: block[Erofs.superblockOffset...])
        func number(at offset: Int) -> UInt32 {
            UInt32(littleEndian: superblock.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
        }
        guard number(at: 0) == Erofs.magic else { return "has no EROFS superblock" }
        let recorded = number(at: 4)
        superblock.storeBytes(of: 0, toByteOffset: 4, as: UInt32.self)
        guard CRC32C.checksum(UnsafeRawBufferPointer(superblock)) == recorded else {
            return "has a superblock whose checksum is wrong"
        }
        let blocks = Int64(number(at: 36)) << Int64(Erofs.blockBits)
        return blocks == size ? nil : "has \(size) bytes, its superblock says \(blocks)"
    }

    /// Around the page cache where that can be: what is checked is the disk, and what others need stays cached.
    private static func openForChecking(_ path: String) throws(SystemError) -> OwnedDescriptor {
        do throws(SystemError) { return try File.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | MLR_O_DIRECT) } catch {
            guard error.errno == .invalidArgument else { throw error }
        }
        return try File.open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    }

    // MARK: For those who mount

    /// A layer that is there and looks whole, or an error that says what to pull again.
    func intactLayer(_ digest: Digest, of image: ImageRecord) throws(StoreError) -> LayerRecord {
        if let layer = try layer(digest) { return layer }
        if let recorded = try recordedLayer(digest) { try refuseDamaged(recorded, of: image) }
        throw .image(.incomplete(image: image.reference, missing: digest))
    }

    /// For a layer that the kernel does not take: whether its file is to blame.
    func refuseDamaged(_ layer: LayerRecord, of image: ImageRecord) throws(StoreError) {
        guard let reason = fault(of: layer, content: false) else { return }
        throw .image(
            .damagedLayer(layer.digest, path: layerFile(layer.digest), reason: reason, source: image.source))
    }
}
