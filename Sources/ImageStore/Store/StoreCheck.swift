public import OCISpec

/// What a check of the store found, and what became of it.
public struct StoreCheck: Sendable, Equatable {
    /// One file that is not as it should be.
    public struct Finding: Sendable, Equatable {
        /// How bad it is.
        public enum Kind: String, Sendable {
            /// Something that was stored is lost or wrong.
            case damage
            /// Something that nobody needs and that hurts nobody.
            case leftover
        }

        /// How bad it is.
        public let kind: Kind
        /// Of the file.
        public let path: String
        /// What is wrong with it, in words that read after the path.
        public let reason: String
        /// Which layer it is about, where it is about one.
        public let layer: Digest?
        /// References of the images that cannot be trusted because of it.
        public internal(set) var images: [String]
        /// Whether it was removed.
        public internal(set) var isRepaired = false
    }

    /// An image that was removed since something of it is damaged.
    public struct LostImage: Sendable, Equatable {
        /// In full, or ``ImageRecord/untagged``.
        public let reference: String
        /// What to pull again.
        public let source: String
    }

    /// Everything that is not as it should be.
    public internal(set) var findings: [Finding] = []
    /// Images that a repair removed.
    public internal(set) var lostImages: [LostImage] = []
    /// How many records of images were read.
    public internal(set) var images = 0
    /// How many layers were read.
    public internal(set) var layers = 0
    /// Layers of which only the form could be checked, since no digest was recorded when they came.
    public internal(set) var unverifiedLayers = 0
    /// Bytes that were read and hashed.
    public internal(set) var bytes: Int64 = 0

    /// Whether something is damaged that was not repaired.
    public var isDamaged: Bool { findings.contains { $0.kind == .damage && !$0.isRepaired } }
    /// Whether something was repaired.
    public var isRepaired: Bool { findings.contains(where: \.isRepaired) }
}

extension ImageStore {
    /// Holds everything in the store against what was recorded of it: records against layers and blobs, the superblock,
    /// length and digest of each layer's file, and what no record leads to.
    ///
    /// Images may be pulled and removed meanwhile. What is repaired is removed: damaged layers, blobs and records, and
    /// the images that need them. Containers that run go on with what they have mounted.
    ///
    /// - Parameters:
    ///   - content: also reads every layer whole.
    ///   - progress: called with the bytes read of those to be read, from any thread.
    public func audit(
        repair: Bool, content: Bool = true,
        progress: @escaping @Sendable (_ done: Int64, _ total: Int64) -> Void = { _, _ in }
    ) throws(StoreError) -> StoreCheck {
        var audit = try whileRecordsStandStill { () throws(StoreError) in try StoreAudit(self) }
        if content { try audit.readContents(progress) }
        if repair, !audit.result.findings.isEmpty {
            try whileRecordsStandStill { () throws(StoreError) in
                try whileMountsStandStill { () throws(StoreError) in try audit.repair() }
            }
        }
        return audit.result
    }
}
