public import Trust

/// What is asked of an image that is brought into the store, beside being what its digest says.
public struct PullSettings: Sendable {
    /// Keeps the blobs of layers as they were transported, so that the image can be saved and pushed without the place it
    /// came from.
    public var keepBlobs: Bool
    /// One of these keys must have signed the image, whatever the policy says.
    public var verificationKeys: [VerificationKey]

    public init(keepBlobs: Bool = false, verificationKeys: [VerificationKey] = []) {
        self.keepBlobs = keepBlobs
        self.verificationKeys = verificationKeys
    }
}
