internal import CLinux
internal import Glibc
public import LinuxSystem

/// Where an image comes from other than a registry.
public struct ImageSource: Sendable {
    enum Kind: Sendable {
        /// An OCI image layout in a directory.
        case layout(directory: String)
        /// A tar archive of an OCI image layout.
        case ociArchive(file: String)
        /// What `docker save` writes.
        case dockerArchive(file: String)
        /// Either kind of archive, from a descriptor that is read once; where it is a file, `path` names it.
        case stream(SharedDescriptor, path: String?)
    }

    let kind: Kind
    /// The tag or reference that selects one image of several.
    let selection: String?
    /// As a person would write it.
    public let description: String

    /// `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REFERENCE]`, or `-` for an archive on standard
    /// input. Nil for anything else: that is a reference.
    ///
    /// - Throws: ``StoreError`` when the path is empty.
    public init?(parsing text: String) throws(StoreError) {
        if text == "-" {
            // A copy: closing standard input itself would let some later file become descriptor 0.
            let copy: Int32
            do throws(SystemError) { copy = try check(mlr_dup_cloexec(0, 3), "read standard input") } catch {
                throw .system(error)
            }
            self.init(archive: SharedDescriptor(taking: copy), description: "standard input")
            return
        }
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let scheme = text[..<colon]
        guard ["oci", "oci-archive", "docker-archive"].contains(scheme) else { return nil }
        let parts = text[text.index(after: colon)...].split(
            separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let path = String(parts[0])
        let selection = parts.count == 2 && !parts[1].isEmpty ? String(parts[1]) : nil
        if path.isEmpty { throw .image(.emptySource(text)) }
        let kind: Kind =
            switch scheme {
            case "oci": .layout(directory: path)
            case "oci-archive": .ociArchive(file: path)
            default: .dockerArchive(file: path)
            }
        self.init(kind: kind, selection: selection, description: text)
    }

    /// An archive of either kind that is read from a descriptor, which may be a pipe.
    public init(archive descriptor: SharedDescriptor, selecting selection: String? = nil, description: String) {
        self.init(kind: .stream(descriptor, path: nil), selection: selection, description: description)
    }

    /// An archive of either kind in a file.
    public init(archiveFile path: String) throws(StoreError) {
        let descriptor: SharedDescriptor
        do throws(SystemError) { descriptor = SharedDescriptor(try File.open(path, O_RDONLY)) } catch {
            throw .system(error)
        }
        self.init(kind: .stream(descriptor, path: path), selection: nil, description: path)
    }

    /// What is at the place an image came from, to be read again; nil for a registry or what could be read only once.
    init?(_ origin: ImageOrigin) throws(StoreError) {
        switch origin.kind {
        case .registry, .stream: return nil
        case .archive: try self.init(archiveFile: origin.location)
        case .layout: self.init(kind: .layout(directory: origin.location), selection: nil, description: origin.location)
        case .ociArchive:
            self.init(kind: .ociArchive(file: origin.location), selection: nil, description: origin.location)
        case .dockerArchive:
            self.init(kind: .dockerArchive(file: origin.location), selection: nil, description: origin.location)
        }
    }

    /// This place, as a record keeps it.
    var origin: ImageOrigin {
        switch kind {
        case .layout(let path): ImageOrigin(.layout, location: Self.absolute(path))
        case .ociArchive(let path): ImageOrigin(.ociArchive, location: Self.absolute(path))
        case .dockerArchive(let path): ImageOrigin(.dockerArchive, location: Self.absolute(path))
        case .stream(_, let path?): ImageOrigin(.archive, location: Self.absolute(path))
        case .stream(_, nil): ImageOrigin(.stream, location: description)
        }
    }

    /// The absolute path that policies know it by; nil for what can be read only once.
    public var policyScope: String? {
        let origin = origin
        return origin.kind == .stream ? nil : origin.location
    }

    /// A path that means the same in every working directory, its links resolved.
    private static func absolute(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private init(kind: Kind, selection: String?, description: String) {
        self.kind = kind
        self.selection = selection
        self.description = description
    }
}
