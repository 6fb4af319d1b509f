import OCISpec

extension FuzzTarget {
    static let spec = [json, runtimeSpec, image, reference]

    private static let json = FuzzTarget(name: "json") { bytes throws(FuzzFinding) in
        guard let value = try? JSON(parsing: bytes) else { return }
        for pretty in [false, true] {
            let again = try? JSON(parsing: value.bytes(pretty: pretty))
            try promise(again == value, "reads differently once written: \(value.text())")
        }
    }

    /// config.json of a bundle, and state.json.
    private static let runtimeSpec = FuzzTarget(name: "runtime-spec") { bytes throws(FuzzFinding) in
        guard let json = try? JSON(parsing: bytes) else { return }
        _ = try? ContainerState(JSONCursor(json))
        guard let spec = try? RuntimeSpec(JSONCursor(json)) else { return }
        let again = try? RuntimeSpec(JSONCursor(spec.json))
        try promise(again == spec, "reads differently once written: \(spec.json.text())")
        try promise(again?.problems() == spec.problems(), "has other problems once written")
    }

    /// Manifests, indexes and configurations of images.
    private static let image = FuzzTarget(name: "image") { bytes throws(FuzzFinding) in
        guard let json = try? JSON(parsing: bytes) else { return }
        let cursor = JSONCursor(json)
        _ = try? ImageConfiguration(cursor)
        if let manifest = try? ImageManifest(cursor) {
            let again = try? ImageManifest(JSONCursor(manifest.json))
            try promise(again == manifest, "the manifest reads differently once written")
        }
        if let index = try? ImageIndex(cursor) {
            _ = index.manifest(for: .host)
            let again = try? ImageIndex(JSONCursor(index.json))
            try promise(again == index, "the index reads differently once written")
        }
    }

    private static let reference = FuzzTarget(name: "reference") { bytes throws(FuzzFinding) in
        let text = bytes.text
        if let digest = Digest(text) { try promise(digest.description == text, "the digest is written differently") }
        if let platform = Platform(parsing: text) {
            try promise(platform.description == text, "the platform is written differently")
        }
        guard let reference = try? ImageReference(parsing: text) else { return }
        for form in [reference.description, reference.familiar] {
            let again = try? ImageReference(parsing: form)
            try promise(again == reference, "\(text) is another image when written as \(form)")
        }
    }
}
