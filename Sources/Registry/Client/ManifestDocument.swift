internal import NIOHTTP1
internal import OCISpec

/// An index or manifest as a registry sent it, its type settled and its content read.
struct ManifestDocument: Sendable {
    enum Content: Sendable {
        case manifest(ImageManifest)
        case index(ImageIndex)
    }

    let bytes: [UInt8]
    let digest: Digest
    let mediaType: String
    let content: Content

    /// What Docker's registries sent before 2016.
    private static let schema1: Set<String> = [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ]
    /// What servers send that do not know the types of manifests.
    private static let generic: Set<String> = ["", "application/json", "application/octet-stream", "text/plain"]

    /// Verifies the digest of an answer's body, against the one asked for and the one announced, and reads it.
    init(
        verifying bytes: [UInt8], of response: TransportResponse, asked: Digest?, expected: Descriptor?,
        reference: ImageReference
    ) throws(RegistryError) {
        let host = response.address.hostAndPort
        let what = "the manifest of \(reference)"
        if let asked { try ContentDigest.verify(bytes, against: asked, what: what, host: host) }
        var announced: Digest?
        if let header = response.headers.first(name: "Docker-Content-Digest") {
            guard let digest = Digest(header) else {
                throw RegistryError(.server, "\(host) announces \"\(header)\" as the digest of \(what), which is none")
            }
            let actual = ContentDigest.of(bytes, like: digest)
            guard actual == digest else {
                throw RegistryError(
                    .digestMismatch, "\(what) from \(host) has the digest \(actual), but \(digest) was announced",
                    remedy: "try again; if it stays so, the registry or a proxy on the way serves damaged content")
            }
            announced = digest
        }
        if let expected, expected.size != Int64(bytes.count) {
            throw RegistryError(
                .invalidManifest, "\(what) from \(host) has \(bytes.count) bytes, but its index says \(expected.size)")
        }
        try self.init(
            bytes, digest: asked ?? announced ?? ContentDigest.of(bytes),
            contentType: response.headers.first(name: "Content-Type"), expected: expected,
            name: reference.description, host: host)
    }

    /// Settles the type among the `Content-Type` header, the descriptor that led here, and the document itself. They
    /// must agree where they say something: a document taken once for an index and once for a manifest is an attack
    /// (CVE-2021-41190).
    init(
        _ bytes: [UInt8], digest: Digest, contentType: String?, expected: Descriptor?, name: String, host: String
    ) throws(RegistryError) {
        func invalid(_ reason: String) -> RegistryError {
            RegistryError(
                .invalidManifest, "\(host) sent a manifest of \(name) that cannot be used: \(reason)",
                remedy: "build and push the image again, or ask the registry's operator")
        }
        let header = Self.essence(contentType ?? "")
        if Self.schema1.contains(header) { throw Self.oldSchema(name, host) }
        guard Self.generic.contains(header) || MediaType.manifests.contains(header) else {
            throw invalid("its Content-Type is \"\(header)\"")
        }
        let cursor: JSONCursor
        let declared: String?
        do throws(JSONError) {
            cursor = JSONCursor(try JSON(parsing: bytes))
            if try cursor.optional("schemaVersion")?.integer(Int.self) == 1 { throw schemaOne }
            declared = try cursor.optional("mediaType")?.string()
        } catch {
            throw error == schemaOne ? Self.oldSchema(name, host) : invalid("\(error)")
        }
        let hasManifests = cursor.value["manifests"] != nil
        let hasLayers = cursor.value["layers"] != nil || cursor.value["config"] != nil
        if hasManifests && hasLayers { throw invalid("it is an index and an image manifest at once") }
        if !hasManifests && !hasLayers { throw invalid("it has neither manifests nor layers") }

        let shape = hasManifests ? MediaType.ociIndex : MediaType.ociManifest
        let type = declared ?? (Self.generic.contains(header) ? expected?.mediaType ?? shape : header)
        guard MediaType.manifests.contains(type) else { throw invalid("its mediaType is \"\(type)\"") }
        if !Self.generic.contains(header), header != type {
            throw invalid("its Content-Type is \(header), but its mediaType is \(type)")
        }
        if let expected, expected.mediaType != type {
            throw invalid("the index calls it \(expected.mediaType), but it is \(type)")
        }
        guard MediaType.indexes.contains(type) == hasManifests else {
            throw invalid("its type is \(type), but it has \(hasManifests ? "manifests" : "layers")")
        }
        do throws(JSONError) {
            content = hasManifests ? .index(try ImageIndex(cursor)) : .manifest(try ImageManifest(cursor))
        } catch {
            throw invalid("\(error)")
        }
        mediaType = type
        self.bytes = bytes
        self.digest = digest
    }

    /// A media type without its parameters, in lower case.
    private static func essence(_ contentType: String) -> String {
        contentType.prefix { $0 != ";" }.filter { $0 != " " && $0 != "\t" }.lowercased()
    }

    private static func oldSchema(_ name: String, _ host: String) -> RegistryError {
        RegistryError(
            .unsupported, "\(name) on \(host) is an image of Docker's schema 1, which is obsolete and not verifiable",
            remedy: "push it again with a current tool, or convert it with 'skopeo copy --format oci'")
    }
}

/// Marks a schema 1 document on its way out of the JSON reader.
private let schemaOne = JSONError(path: "schemaVersion", message: "is 1")
