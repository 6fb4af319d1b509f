public import OCISpec

/// How far one layer has come on its way into the store; the same for pulls from a registry and imports of archives.
public struct PullProgress: Sendable, Equatable {
    /// What is being done with a layer.
    public enum Phase: String, Sendable {
        /// Somebody else is fetching the same layer, or it is not this one's turn yet.
        case waiting
        /// Bytes arrive, are hashed, inflated and written.
        case pulling
        /// Bytes go out, into an archive or to a registry.
        case sending
        /// Every byte has arrived; digests are compared and the file is made durable.
        case verifying
        case done
        /// The layer was in the store already.
        case exists
    }

    /// Of the blob.
    public var layer: Digest
    /// Bytes of the blob that have arrived.
    public var received: Int64
    /// Bytes of the blob.
    public var total: Int64
    /// What is being done with it.
    public var phase: Phase

    public init(layer: Digest, received: Int64, total: Int64, phase: Phase) {
        self.layer = layer
        self.received = received
        self.total = total
        self.phase = phase
    }
}
