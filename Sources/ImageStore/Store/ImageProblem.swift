public import LinuxSystem
public import OCISpec

/// What can be wrong with an image as a whole, or with the place it comes from.
public enum ImageProblem: Error, Sendable, Equatable {
    case noSuchImage(String)
    case invalidName(String)
    /// A short image ID that fits several images, each written `reference (ID)`.
    case ambiguous(String, candidates: [String])
    /// An image that is to be removed by ID has several references.
    case severalReferences(String, references: [String])
    /// `by` says who uses it, as ``ImageUses`` has it.
    case inUse(String, by: [String])
    /// An image is to be recorded, or mounted, and a part of it is not in the store.
    case incomplete(image: String, missing: Digest)
    /// The EROFS file of a layer is not what was written; `source` is where the image came from.
    case damagedLayer(Digest, path: String, reason: String, source: String)
    /// A file of the store cannot be what the store wrote.
    case damaged(path: String, reason: String)
    case cannotOpen(path: String, SystemError)

    case malformed(what: String, JSONError)
    case layerCount(image: String, manifest: Int, configuration: Int)
    case wrongPlatform(image: String, Platform)
    case artifact(name: String, type: String)
    case unknownLayerType(image: String, index: Int, mediaType: String)
    case noLayers(image: String)

    case emptySource(String)
    /// A file or directory that is no archive or layout of the kind it was called.
    case notAnImageSource(source: String, reason: String)
    /// The tag asked for is not there; `available` are those that are.
    case noSuchTag(source: String, tag: String, available: [String])
    /// Several images, and none was asked for.
    case severalImages(source: String, available: [String])
    case noPlatform(source: String, available: [String])
    /// A blob, or a member of an archive, that should be there.
    case missingPart(source: String, part: String)
    /// A reference with a digest where only a tag can be given.
    case tagWithDigest(String)
    /// The blobs of an image's layers were not kept, and the place it came from cannot be read again.
    case blobsNotKept(image: String, reason: String)
    /// Whoever brings the image in does not trust it.
    case notAdmitted(reason: String, remedy: String)
    /// A directory to export to that is not empty.
    case notEmpty(path: String)

    case tooManyLayers(image: String, count: Int)
    case cannotMountLayer(Digest, SystemError)
    case cannotMountRoot(image: String, SystemError)
}

extension ImageProblem: CustomStringConvertible {
    /// One line that says what failed, where and why.
    public var description: String {
        switch self {
        case .noSuchImage(let name): "no such image: \(name)"
        case .invalidName(let name): "\"\(name)\" is no image reference, digest or image ID"
        case .ambiguous(let name, let candidates):
            "the image ID \(name) is ambiguous: it fits \(candidates.joined(separator: ", "))"
        case .severalReferences(let name, let references):
            "cannot remove the image \(name): it has \(references.count) references: "
                + references.joined(separator: ", ")
        case .inUse(let name, let users):
            "cannot remove the image \(name): it is used by \(users.joined(separator: ", "))"
        case .incomplete(let image, let missing): "the image \(image) is incomplete: \(missing) is not in the store"
        case .damagedLayer(let digest, let path, let reason, _):
            "the layer \(digest) is damaged: \(path) \(reason)"
        case .damaged(let path, let reason): "the store's file \(path) is damaged: \(reason)"
        case .cannotOpen(let path, let error): "cannot open the image store \(path): \(error)"
        case .malformed(let what, let error): "\(what) is malformed: \(error)"
        case .layerCount(let image, let manifest, let configuration):
            "the image \(image) contradicts itself: its manifest has \(manifest) layers, rootfs.diff_ids of its "
                + "configuration \(configuration)"
        case .wrongPlatform(let image, let platform):
            "the image \(image) is for \(platform), but this machine is \(Platform.host)"
        case .artifact(let name, let type): "\(name) is an artifact of type \(type), not an image that can be run"
        case .unknownLayerType(let image, let index, let mediaType):
            "layers[\(index)] of the image \(image) has the unknown media type \"\(mediaType)\""
        case .noLayers(let image): "the image \(image) has no layers, so there is nothing in it to run"
        case .emptySource(let source): "\(source) names no file or directory"
        case .notAnImageSource(let source, let reason): "cannot import \(source): \(reason)"
        case .noSuchTag(let source, let tag, let available):
            "\(source) holds no image \"\(tag)\"; " + Self.list(available)
        case .severalImages(let source, let available): "\(source) holds several images; " + Self.list(available)
        case .noPlatform(let source, let available):
            "\(source) has no image for \(Platform.host); " + Self.list(available)
        case .missingPart(let source, let part): "\(source) is incomplete: \(part) is not in it"
        case .tagWithDigest(let reference): "cannot tag an image as \(reference): a digest cannot be given away"
        case .blobsNotKept(let image, let reason):
            "the blobs of \(image) as they were pulled are not in the store, and cannot be had again: \(reason)"
        case .notAdmitted(let reason, _): reason
        case .notEmpty(let path): "cannot export to \(path): the directory is not empty"
        case .tooManyLayers(let image, let count):
            "cannot mount the image \(image): it has \(count) layers, the kernel stacks \(ImageStore.mostLayers)"
        case .cannotMountLayer(let digest, let error): "cannot mount the layer \(digest): \(error)"
        case .cannotMountRoot(let image, let error): "cannot mount the root file system of \(image): \(error)"
        }
    }

    private static func list(_ names: [String]) -> String {
        names.isEmpty ? "there is none in it" : "there is \(names.joined(separator: ", "))"
    }

    /// One line that says what the user can do.
    public var remedy: String {
        switch self {
        case .noSuchImage(let name): "`mlrun pull \(name)` fetches it, `mlrun images` lists what is there"
        case .invalidName: "write host/repository:tag, sha256:… or at least 4 digits of an image ID"
        case .ambiguous: "write more digits, or the reference"
        case .severalReferences: "remove the references one by one, or all with --force"
        case .inUse:
            "remove the service with `mlrun rm`, or end the container; --force takes only the reference away"
        case .incomplete: "pull or import the image again; `mlrun system fsck` tells what else is missing"
        case .damagedLayer(_, _, _, let source):
            "`mlrun system fsck --repair` removes it, then `mlrun pull \(source)` brings it again"
        case .damaged: "`mlrun system fsck --repair` removes what is damaged; then pull or import the image again"
        case .cannotOpen: "run mlrun as root, or set MLRUN_ROOT to a directory you own"
        case .malformed, .layerCount: "the image was built or copied wrongly; ask its publisher to push it again"
        case .wrongPlatform, .noPlatform: "use an image that is built for \(Platform.host)"
        case .artifact: "name a container image; artifacts hold files for other tools"
        case .unknownLayerType: "push the image with layers of tar, tar+gzip or tar+zstd"
        case .noLayers: "build the image with the files it needs"
        case .emptySource: "write oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:REFERENCE]"
        case .notAnImageSource:
            "oci: takes the directory of an OCI layout, oci-archive: a tar of one, docker-archive: what `docker save` "
                + "writes"
        case .noSuchTag, .severalImages: "write one of them behind the path, as in oci:DIR:TAG"
        case .missingPart: "copy or save the image again"
        case .tagWithDigest: "write repository:tag"
        case .blobsNotKept: "bring the image in again with --keep-blobs, which keeps them in the store"
        case .notAdmitted(_, let remedy): remedy
        case .notEmpty: "name a directory that is empty or does not exist yet"
        case .tooManyLayers: "squash the image when it is built"
        case .cannotMountLayer(_, let error), .cannotMountRoot(_, let error):
            switch error.errno {
            case .notPermitted, .accessDenied: "run mlrun as root"
            case .noSuchDevice: "load the kernel's erofs and overlay modules: `modprobe erofs overlay`"
            default: "`dmesg` may say more; `mlrun check` tells what this kernel lacks"
            }
        }
    }
}
