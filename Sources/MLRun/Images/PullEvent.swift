public import ImageStore
public import OCISpec

/// What happens while an image comes into the store.
public enum PullEvent: Sendable {
    /// The reference was resolved: which image it is, its layers lowest first, and the seconds that took.
    case resolved(ResolvedImage)
    /// A layer went on.
    case progress(PullProgress)
    /// The image is in the store, with all its layers verified and durable. The last event.
    case finished(PulledImage)
}

/// An image as its registry or archive names it.
public struct ResolvedImage: Sendable {
    /// In its full form.
    public let reference: String
    /// Of the manifest for the platform that was asked for.
    public let manifestDigest: Digest
    /// Lowest first.
    public let layers: [Descriptor]
}

/// An image in the store, and what bringing it there took.
public struct PulledImage: Sendable {
    /// What the store holds now.
    public let image: ImageRecord
    /// Where the time went.
    public let timing: PullTiming
    /// Whether the reference named the same image before.
    public let wasUpToDate: Bool
}

/// Seconds and bytes of a pull.
public struct PullTiming: Sendable {
    /// From the reference to the manifest and configuration.
    public var resolve = Duration.zero
    /// From the first layer's start to the last one's end: receiving, verifying and unpacking are one pass.
    public var layers = Duration.zero
    /// Bytes received over the network or read from the archive.
    public var received: Int64 = 0
}

/// When a reference is looked up in its registry.
public enum PullPolicy: String, Sendable, CaseIterable {
    /// Only when the store does not have it.
    case missing
    /// Each time; layers that are there are not fetched again.
    case always
    /// Never: what is not in the store is an error.
    case never
}
