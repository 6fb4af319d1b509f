/// A pointer to content by digest (image-spec, descriptor.md).
/// Members without a comment mean what the specification's of that name mean.
public struct Descriptor: Sendable, Equatable {
    public var mediaType: String
    public var digest: Digest
    /// Bytes of the content.
    public var size: Int64
    public var annotations: [String: String]
    public var platform: Platform?
    public var artifactType: String?

    public init(
        mediaType: String, digest: Digest, size: Int64, annotations: [String: String] = [:], platform: Platform? = nil,
        artifactType: String? = nil
    ) {
        self.mediaType = mediaType
        self.digest = digest
        self.size = size
        self.annotations = annotations
        self.platform = platform
        self.artifactType = artifactType
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        mediaType = try cursor.required("mediaType").string()
        digest = try Digest(cursor.required("digest"))
        size = try cursor.required("size").integer()
        if size < 0 { throw try cursor.required("size").failure("is negative") }
        annotations = try cursor.optional("annotations")?.stringMap() ?? [:]
        platform = try cursor.optional("platform").map { cursor throws(JSONError) in try Platform(cursor) }
        artifactType = try cursor.optional("artifactType")?.string()
    }

    public var json: JSON {
        var object = JSONObject()
        object["mediaType"] = .string(mediaType)
        object["digest"] = .string(digest.description)
        object["size"] = .integer(size)
        if !annotations.isEmpty { object["annotations"] = JSON(annotations) }
        object["platform"] = platform?.json
        object.set("artifactType", artifactType)
        return .object(object)
    }
}

/// What a manifest of an index was built for (image-spec, image-index.md).
/// Members without a comment mean what the specification's of that name mean.
public struct Platform: Sendable, Equatable, CustomStringConvertible {
    public var os: String
    public var architecture: String
    public var variant: String?

    public init(os: String, architecture: String, variant: String? = nil) {
        self.os = os
        self.architecture = architecture
        self.variant = variant
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        os = try cursor.optional("os")?.string() ?? "linux"
        architecture = try cursor.optional("architecture")?.string() ?? ""
        variant = try cursor.optional("variant")?.string()
    }

    /// `linux/amd64` or `linux/arm/v7`; nil for anything else.
    public init?(parsing text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (2...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else { return nil }
        self.init(os: parts[0], architecture: parts[1], variant: parts.count == 3 ? parts[2] : nil)
    }

    public var json: JSON {
        var object = JSONObject()
        object["architecture"] = .string(architecture)
        object["os"] = .string(os)
        object["variant"] = variant.map(JSON.string)
        return .object(object)
    }

    public var description: String { ([os, architecture] + (variant.map { [$0] } ?? [])).joined(separator: "/") }

    /// The platform this program was built for, in Go's spelling.
    public static var host: Platform {
        #if arch(arm64)
            Platform(os: "linux", architecture: "arm64")
        #else
            Platform(os: "linux", architecture: "amd64")
        #endif
    }

    /// Whether an image for `self` runs on `host`; a missing variant matches, and arm64 means v8.
    public func runs(on host: Platform) -> Bool {
        guard os == host.os, architecture == host.architecture else { return false }
        func normal(_ variant: String?) -> String { variant ?? (architecture == "arm64" ? "v8" : "") }
        return variant == nil || host.variant == nil
            ? normal(variant) == normal(host.variant) || variant == nil : variant == host.variant
    }
}

/// An image manifest (image-spec, manifest.md; Docker's schema 2 has the same shape).
/// Members without a comment mean what the specification's of that name mean.
public struct ImageManifest: Sendable, Equatable {
    public var mediaType: String
    public var artifactType: String?
    public var config: Descriptor
    public var layers: [Descriptor]
    public var annotations: [String: String]

    public init(
        mediaType: String = MediaType.ociManifest, artifactType: String? = nil, config: Descriptor,
        layers: [Descriptor], annotations: [String: String] = [:]
    ) {
        self.mediaType = mediaType
        self.artifactType = artifactType
        self.config = config
        self.layers = layers
        self.annotations = annotations
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        let version: Int = try cursor.required("schemaVersion").integer()
        guard version == 2 else { throw try cursor.required("schemaVersion").failure("is \(version), but must be 2") }
        mediaType = try cursor.optional("mediaType")?.string() ?? MediaType.ociManifest
        artifactType = try cursor.optional("artifactType")?.string()
        config = try Descriptor(cursor.required("config"))
        layers = try cursor.required("layers").array { cursor throws(JSONError) in try Descriptor(cursor) }
        annotations = try cursor.optional("annotations")?.stringMap() ?? [:]
    }

    public var json: JSON {
        var object = JSONObject()
        object["schemaVersion"] = 2
        object["mediaType"] = .string(mediaType)
        object["artifactType"] = artifactType.map(JSON.string)
        object["config"] = config.json
        object["layers"] = .array(layers.map(\.json))
        if !annotations.isEmpty { object["annotations"] = JSON(annotations) }
        return .object(object)
    }
}

/// An image index or Docker manifest list (image-spec, image-index.md).
/// Members without a comment mean what the specification's of that name mean.
public struct ImageIndex: Sendable, Equatable {
    public var mediaType: String
    public var manifests: [Descriptor]
    public var annotations: [String: String]

    public init(
        mediaType: String = MediaType.ociIndex, manifests: [Descriptor], annotations: [String: String] = [:]
    ) {
        self.mediaType = mediaType
        self.manifests = manifests
        self.annotations = annotations
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        mediaType = try cursor.optional("mediaType")?.string() ?? MediaType.ociIndex
        manifests = try cursor.required("manifests").array { cursor throws(JSONError) in try Descriptor(cursor) }
        annotations = try cursor.optional("annotations")?.stringMap() ?? [:]
    }

    public var json: JSON {
        var object = JSONObject()
        object["schemaVersion"] = 2
        object["mediaType"] = .string(mediaType)
        object["manifests"] = .array(manifests.map(\.json))
        if !annotations.isEmpty { object["annotations"] = JSON(annotations) }
        return .object(object)
    }

    /// The image manifest for a platform: the first whose platform matches; attestations are passed over.
    public func manifest(for host: Platform) -> Descriptor? {
        let images = manifests.filter { $0.annotations["vnd.docker.reference.type"] == nil }
        return images.first { $0.platform?.runs(on: host) ?? false }
            ?? (images.count == 1 && images[0].platform == nil ? images[0] : nil)
    }
}

extension JSON {
    /// An object with these members, sorted by name so that equal maps give equal text.
    public init(_ map: [String: String]) {
        self = .object(JSONObject(map.sorted { $0.key < $1.key }.map { (name: $0.key, value: .string($0.value)) }))
    }
}
