public import OCISpec

/// Who uses which images, in words that a person reads (`the service chat`): what is used is not removed.
public struct ImageUses: Sendable, Equatable {
    private var users: [Digest: [String]] = [:]

    public init() {}

    /// Says that somebody uses an image (by its ID or the digest of its manifest) or a layer.
    public mutating func add(_ digest: Digest, by user: String) {
        if users[digest]?.contains(user) == true { return }
        users[digest, default: []].append(user)
    }

    /// Who uses an image, sorted.
    public func users(of image: ImageRecord) -> [String] {
        Set((users[image.config] ?? []) + (users[image.manifestDigest] ?? [])).sorted()
    }

    /// Whether nobody uses anything.
    public var isEmpty: Bool { users.isEmpty }

    /// Everything that is used.
    var digests: Set<Digest> { Set(users.keys) }
}
