internal import LinuxSystem
public import OCISpec

extension ImageStore {
    func blobFile(_ digest: Digest) -> String { "\(directories.blobs)/\(digest.hex)" }

    /// A manifest, index or configuration, verbatim; nil when the store does not hold it.
    public func blob(_ digest: Digest) throws(StoreError) -> [UInt8]? {
        let path = blobFile(digest)
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try File.read(path)
        } catch {
            if error.errno == .noSuchFile { return nil }
            throw .system(error)
        }
        let actual = ContentHash.digest(of: bytes, like: digest)
        guard actual == digest else {
            throw .image(.damaged(path: path, reason: "its digest is \(actual)"))
        }
        return bytes
    }

    /// Stores a manifest, index or configuration under its digest, which is verified; durable when this returns.
    public func putBlob(_ bytes: [UInt8], as digest: Digest) throws(StoreError) {
        let actual = ContentHash.digest(of: bytes, like: digest)
        guard actual == digest else { throw .wrongDigest(expected: digest, computed: actual) }
        if File.exists(blobFile(digest)), (try? blob(digest)) == bytes { return }
        do throws(SystemError) { try File.replace(blobFile(digest), with: bytes) } catch {
            throw StoreError(error, writing: Int64(bytes.count), in: directories.blobs)
        }
    }
}
