public import LinuxSystem
public import OCISpec

/// Why the image store did not do what it was asked. Every case reads as one line of cause (``description``) and one
/// of what to do about it (``remedy``).
public enum StoreError: Error, Sendable, Equatable {
    /// A system call failed.
    case system(SystemError)
    /// The file system that holds `path` is full; `needed` is an estimate, in bytes, of what is still to be written.
    case noSpace(path: String, needed: Int64, free: Int64)
    /// A blob ended before, or went on after, the size its descriptor states.
    case wrongSize(blob: Digest, expected: Int64, received: Int64)
    /// The bytes of a blob hash to something else than they were asked for by.
    case wrongDigest(expected: Digest, computed: Digest)
    /// A layer's uncompressed content hashes to something else than the image's configuration lists.
    case wrongDiffID(layer: Digest, expected: Digest, computed: Digest)
    /// A layer cannot be decompressed. `source` is its digest or the name of the file it is read from.
    case damagedCompression(source: String, CompressionError)
    /// A tar archive breaks its format or one of the rules for untrusted archives.
    case refusedArchive(source: String, ArchiveError)
    /// A layer of a kind that this store cannot unpack.
    case unsupportedLayer(Digest, mediaType: String)
    /// Something is wrong with an image as a whole, or with the place it comes from.
    case image(ImageProblem)
}

extension StoreError: CustomStringConvertible {
    /// One line that says what failed, where and why.
    public var description: String {
        switch self {
        case .system(let error): error.description
        case .noSpace(let path, let needed, let free):
            "no space left for \(path): about \(needed) bytes are needed, \(free) are free"
        case .wrongSize(let blob, let expected, let received):
            "blob \(blob) has \(received) bytes, but its descriptor says \(expected)"
        case .wrongDigest(let expected, let computed):
            "blob \(expected) does not match its digest: its content is \(computed)"
        case .wrongDiffID(let layer, let expected, let computed):
            "layer \(layer) does not match its diff ID: the image says \(expected), the content is \(computed)"
        case .damagedCompression(let source, let error): "cannot decompress \(source): \(error)"
        case .refusedArchive(let source, let error): "cannot unpack \(source): \(error)"
        case .unsupportedLayer(let digest, let mediaType):
            "cannot unpack layer \(digest): its media type \(mediaType) is not supported"
        case .image(let problem): problem.description
        }
    }

    /// One line that says what the user can do.
    public var remedy: String {
        switch self {
        case .system(let error):
            switch error.errno {
            case .accessDenied, .notPermitted: "run mlrun as root, or set MLRUN_ROOT to a directory you own"
            case .readOnlyFileSystem: "set MLRUN_ROOT to a directory on a writable file system"
            case .noSpace, .quotaExceeded: Self.moreSpace
            default: "see whether the path is there and its file system is in order"
            }
        case .noSpace: Self.moreSpace
        case .wrongSize, .wrongDigest: "pull again; if it happens again, the registry or archive holds a damaged blob"
        case .wrongDiffID: "the image was built or copied wrongly; ask its publisher to push it again"
        case .damagedCompression: "pull again; if it happens again, the image was pushed damaged"
        case .refusedArchive: "the image holds an archive that mlrun does not trust; rebuild it with a current tool"
        case .unsupportedLayer: "push the image with layers of tar, tar+gzip or tar+zstd"
        case .image(let problem): problem.remedy
        }
    }

    private static let moreSpace =
        "free space with `mlrun system prune --all`, or set MLRUN_ROOT to a directory on a larger file system"
}
