internal import CLinux
internal import LinuxSystem
public import OCISpec

/// What the images take on the disk, and what of it could be had back.
public struct StoreUsage: Sendable, Equatable {
    /// One image ID with all its references.
    public struct Image: Sendable, Equatable {
        /// The image ID.
        public let config: Digest
        /// Without ``ImageRecord/untagged``, sorted.
        public let references: [String]
        /// When it came, in seconds since 1970; the last of its references counts.
        public let pulledAt: Int64
        /// Bytes of its layers on the disk.
        public let size: Int64
        /// Bytes of those of its layers that another image has too.
        public let sharedSize: Int64
        /// Who uses it.
        public let users: [String]
        /// Bytes of the layers only it has.
        public var uniqueSize: Int64 { size - sharedSize }
    }

    /// One layer.
    public struct Layer: Sendable, Equatable {
        /// Of the blob as transported.
        public let digest: Digest
        /// Bytes of its file on the disk.
        public let size: Int64
        /// Bytes of its blob, where that was kept.
        public let keptBlob: Int64
        /// IDs of the images that have it.
        public let images: [Digest]
        /// Whether an image that somebody uses has it.
        public let isUsed: Bool
    }

    /// The last one pulled first.
    public internal(set) var images: [Image] = []
    /// The largest first.
    public internal(set) var layers: [Layer] = []
    /// Bytes of manifests, indexes and configurations.
    public internal(set) var documents: Int64 = 0
    /// Bytes of what is being pulled, or was when its process died.
    public internal(set) var unfinished: Int64 = 0

    public init() {}

    /// Bytes of all layers.
    public var layerSize: Int64 { layers.reduce(0) { $0 + $1.size } }
    /// Bytes of kept blobs.
    public var keptBlobSize: Int64 { layers.reduce(0) { $0 + $1.keptBlob } }
    /// Bytes that `mlrun system prune --all` frees at most: of layers, and blobs of layers, that nothing in use needs.
    public var reclaimable: Int64 { layers.filter { !$0.isUsed }.reduce(0) { $0 + $1.size + $1.keptBlob } }
}

extension ImageStore {
    /// Measures the store.
    public func usage(uses: ImageUses = ImageUses()) throws(StoreError) -> StoreUsage {
        let records = try images()
        var usage = StoreUsage()
        do throws(SystemError) {
            let layerSizes = try sizes(in: directories.layers) { $0.hasSuffix(".erofs") ? String($0.dropLast(6)) : nil }
            let blobSizes = try sizes(in: directories.blobs) { $0 }
            usage.unfinished = try sizes(in: directories.ingest) { $0 }.values.reduce(0, +)
            let byID = Dictionary(grouping: records, by: \.config)
            var owners: [String: Set<Digest>] = [:]
            var used = Set(uses.digests.map(\.hex))
            for (config, records) in byID {
                let isUsed = records.contains { !uses.users(of: $0).isEmpty }
                for hex in Set(records.flatMap { $0.layers.map(\.digest.hex) }) {
                    owners[hex, default: []].insert(config)
                    if isUsed { used.insert(hex) }
                }
            }
            for (hex, size) in layerSizes {
                guard let digest = Self.digest(hex) else { continue }
                usage.layers.append(
                    .init(
                        digest: digest, size: size, keptBlob: blobSizes[hex] ?? 0,
                        images: (owners[hex] ?? []).sorted { $0.hex < $1.hex }, isUsed: used.contains(hex)))
            }
            usage.documents = blobSizes.reduce(0) { $0 + (layerSizes[$1.key] == nil ? $1.value : 0) }
            for (config, records) in byID {
                let hexes = Set(records.flatMap { $0.layers.map(\.digest.hex) })
                func size(_ hexes: Set<String>) -> Int64 { hexes.reduce(0) { $0 + (layerSizes[$1] ?? 0) } }
                usage.images.append(
                    .init(
                        config: config,
                        references: Set(records.map(\.reference)).subtracting([ImageRecord.untagged]).sorted(),
                        pulledAt: records.map(\.pulledAt).max() ?? 0, size: size(hexes),
                        sharedSize: size(hexes.filter { (owners[$0]?.count ?? 0) > 1 }),
                        users: Set(records.flatMap { uses.users(of: $0) }).sorted()))
            }
        } catch {
            throw .system(error)
        }
        usage.images.sort { ($1.pulledAt, $0.config.hex) < ($0.pulledAt, $1.config.hex) }
        usage.layers.sort { ($1.size, $0.digest.hex) < ($0.size, $1.digest.hex) }
        return usage
    }

    /// Bytes on the disk of the files whose names `key` knows.
    private func sizes(in directory: String, key: (String) -> String?) throws(SystemError) -> [String: Int64] {
        var sizes: [String: Int64] = [:]
        for name in try File.list(directory) {
            guard let key = key(name),
                let status = try? File.status("\(directory)/\(name)", followingLinks: false)
            else { continue }
            sizes[key] = Int64(status.blocks) * 512
        }
        return sizes
    }
}
