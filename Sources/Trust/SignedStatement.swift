internal import OCISpec

/// What a signature says: the payload of "simple signing", as cosign and containers/image write it.
struct SignedStatement: Equatable {
    /// The manifest or index that was signed.
    let digest: Digest
    /// The image as whoever signed it called it.
    let reference: String

    private static let type = "cosign container image signature"

    /// Reads the payload, once its signature has been verified. What is critical and not understood is refused.
    init(_ payload: [UInt8]) throws(JSONError) {
        let document = JSONCursor(try JSON(parsing: payload))
        for member in try document.members() where !["critical", "optional"].contains(member.name) {
            throw member.cursor.failure("is unknown")
        }
        let critical = try document.required("critical")
        try Self.allow(["identity", "image", "type"], in: critical)
        let type = try critical.required("type")
        guard try type.string() == Self.type else { throw type.failure("is not \"\(Self.type)\"") }
        let image = try critical.required("image")
        try Self.allow(["docker-manifest-digest"], in: image)
        digest = try Digest(image.required("docker-manifest-digest"))
        let identity = try critical.required("identity")
        try Self.allow(["docker-reference"], in: identity)
        reference = try identity.required("docker-reference").string()
    }

    private static func allow(_ names: Set<String>, in cursor: JSONCursor) throws(JSONError) {
        for member in try cursor.members() where !names.contains(member.name) {
            throw member.cursor.failure("is unknown, and everything critical must be understood")
        }
    }
}
