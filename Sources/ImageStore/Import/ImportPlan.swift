internal import OCISpec

/// What is to be imported: an image that was found and understood, and where the content of its layers is.
struct ImportPlan {
    var contents: ImageContents
    /// One a layer of the image, lowest first; nil for one that is in the store already.
    var extents: [Extent?]
    /// The references the source gives the image, in full form.
    var references: [String]
}

/// How the places that images are imported from name them.
enum ImportedName {
    /// The full reference of an image, from what an index says of it.
    ///
    /// Containerd and Docker write the whole name in an annotation of their own, and in the standard one only the tag;
    /// a bare tag is put behind the name of the file or directory.
    static func reference(_ annotations: [String: String], source: ImageSource) -> String? {
        if let name = annotations[fullNameAnnotation], let parsed = try? ImageReference(parsing: name) {
            return parsed.description
        }
        let name = annotations[refNameAnnotation]
        if let name, name.contains("/") || name.contains(":"), let parsed = try? ImageReference(parsing: name) {
            return parsed.description
        }
        guard let base = source.baseName,
            let parsed = try? ImageReference(parsing: "localhost/\(base):\(name ?? "latest")")
        else { return nil }
        return parsed.description
    }

    /// Whether what a person selects by means this entry of an index.
    static func matches(_ annotations: [String: String], _ selection: String) -> Bool {
        let names = [annotations[refNameAnnotation], annotations[fullNameAnnotation]].compactMap { $0 }
        if names.contains(selection) { return true }
        return names.contains { same($0, selection) || (try? ImageReference(parsing: $0))?.tag == selection }
    }

    /// Whether two texts are forms of the same reference.
    static func same(_ one: String, _ other: String) -> Bool {
        guard let one = try? ImageReference(parsing: one), let other = try? ImageReference(parsing: other) else {
            return false
        }
        return one == other
    }

    static func display(_ annotations: [String: String]) -> String? {
        annotations[fullNameAnnotation] ?? annotations[refNameAnnotation]
    }

    private static let refNameAnnotation = "org.opencontainers.image.ref.name"
    private static let fullNameAnnotation = "io.containerd.image.name"
}

extension ImageSource {
    /// The name of the file or directory without its ending, as a repository name; nil where that gives none.
    var baseName: String? {
        let path: String
        switch kind {
        case .layout(let directory): path = directory
        case .ociArchive(let file), .dockerArchive(let file): path = file
        case .stream(_, let file?): path = file
        case .stream(_, nil): return nil
        }
        guard var name = path.split(separator: "/").last.map({ String($0).lowercased() }) else { return nil }
        for ending in [".gz", ".tgz", ".zst", ".tar", ".oci"] where name.hasSuffix(ending) {
            name.removeLast(ending.count)
        }
        let cleaned = String(
            name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
        let parts = cleaned.split(separator: "-")
        return parts.isEmpty ? nil : parts.joined(separator: "-")
    }
}
