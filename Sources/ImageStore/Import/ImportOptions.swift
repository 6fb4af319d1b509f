/// What an import does beside bringing an image into the store.
public struct ImportOptions {
    /// Keeps the blobs of layers as they were transported.
    public var keepBlobs = false
    /// Called with an image and the references it would get, before any of its layers goes into the store; what it
    /// throws ends the import. An archive on standard input is then held back on disk until it was asked.
    public var admit: ((ImageContents, _ references: [String]) throws(StoreError) -> Void)?

    /// By default blobs are not kept, and every image is admitted.
    public init(
        keepBlobs: Bool = false,
        admit: ((ImageContents, _ references: [String]) throws(StoreError) -> Void)? = nil
    ) {
        self.keepBlobs = keepBlobs
        self.admit = admit
    }

    func check(_ plan: ImportPlan) throws(StoreError) { try admit?(plan.contents, plan.references) }
}
