internal import CLinux
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
        /// Either kind of archive, from a descriptor that is read once.
        case stream(SharedDescriptor)
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
        self.init(kind: .stream(descriptor), selection: selection, description: description)
    }

    private init(kind: Kind, selection: String?, description: String) {
        self.kind = kind
        self.selection = selection
        self.description = description
    }
}
