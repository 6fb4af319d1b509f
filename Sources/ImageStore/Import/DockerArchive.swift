internal import OCISpec

/// Finds one image in what `docker save` writes: `manifest.json` names the configuration and the layers of each.
struct DockerArchive {
    let files: any ImageFiles
    let source: ImageSource

    private struct Entry {
        var config: String
        var tags: [String]
        var layers: [String]

        init(_ cursor: JSONCursor) throws(JSONError) {
            config = try cursor.required("Config").string()
            tags = try cursor.optional("RepoTags")?.strings() ?? []
            layers = try cursor.optional("Layers")?.strings() ?? []
        }
    }

    func plan() throws(StoreError) -> ImportPlan { try plan(of: try choose(from: try entries())) }

    /// Every image in the archive.
    func plans() throws(StoreError) -> [ImportPlan] {
        let entries = try entries()
        if entries.isEmpty {
            throw .image(.notAnImageSource(source: files.source, reason: "its manifest.json names no image"))
        }
        var plans: [ImportPlan] = []
        for entry in entries { plans.append(try plan(of: entry)) }
        return plans
    }

    private func entries() throws(StoreError) -> [Entry] {
        let bytes = try files.required("manifest.json").bytes()
        do throws(JSONError) {
            return try JSONCursor(JSON(parsing: bytes)).array { cursor throws(JSONError) in try Entry(cursor) }
        } catch {
            throw .image(.malformed(what: "manifest.json of \(files.source)", error))
        }
    }

    private func plan(of entry: Entry) throws(StoreError) -> ImportPlan {
        let name = entry.tags.first ?? files.source
        let configurationBytes = try files.required(entry.config).bytes()
        let config = ContentHash.sha256(of: configurationBytes)
        // The member is named by its digest: `<hex>.json`, or `blobs/sha256/<hex>` since Docker 25.
        let stem = entry.config.split(separator: "/").last.map { $0.hasSuffix(".json") ? $0.dropLast(5) : $0 } ?? ""
        if let named = Digest("sha256:\(stem)"), named != config {
            throw .wrongDigest(expected: named, computed: config)
        }
        let configuration: ImageConfiguration
        do throws(JSONError) {
            configuration = try ImageConfiguration(JSONCursor(JSON(parsing: configurationBytes)))
        } catch {
            throw .image(.malformed(what: "the configuration of \(name)", error))
        }
        guard configuration.diffIDs.count == entry.layers.count else {
            throw .image(
                .layerCount(image: name, manifest: entry.layers.count, configuration: configuration.diffIDs.count))
        }
        var layers: [Descriptor] = []
        var extents: [Extent?] = []
        for (member, diffID) in zip(entry.layers, configuration.diffIDs) {
            let (descriptor, extent) = try layer(member, diffID)
            layers.append(descriptor)
            extents.append(extent)
        }
        let manifest = ImageManifest(
            config: Descriptor(mediaType: MediaType.ociConfig, digest: config, size: Int64(configurationBytes.count)),
            layers: layers)
        let manifestBytes = manifest.json.bytes()
        let descriptor = Descriptor(
            mediaType: MediaType.ociManifest, digest: ContentHash.sha256(of: manifestBytes),
            size: Int64(manifestBytes.count))
        let contents = try ImageContents(
            manifest: descriptor, manifestBytes: manifestBytes, configurationBytes: configurationBytes, name: name)
        var references = entry.tags.compactMap { (try? ImageReference(parsing: $0))?.description }
        if references.isEmpty, let reference = ImportedName.reference([:], source: source) { references = [reference] }
        return ImportPlan(contents: contents, extents: extents, references: references)
    }

    /// A member that is a plain tar is the layer whose digest the configuration states; one that is compressed has a
    /// digest of its own, which only reading it can tell.
    private func layer(_ member: String, _ diffID: Digest) throws(StoreError) -> (Descriptor, Extent?) {
        if let stored = files.storedLayer(member) {
            let isPlain = stored.digest == diffID
            return (
                Descriptor(
                    mediaType: isPlain ? MediaType.ociLayer : MediaType.ociLayerGzip, digest: stored.digest,
                    size: stored.size), nil
            )
        }
        let extent = try files.required(member)
        let mediaType: String
        switch LayerCompression(sniffing: try extent.start(4)) {
        case .none: return (Descriptor(mediaType: MediaType.ociLayer, digest: diffID, size: extent.size), extent)
        case .gzip: mediaType = MediaType.ociLayerGzip
        case .zstd: mediaType = MediaType.ociLayerZstd
        }
        return (Descriptor(mediaType: mediaType, digest: try extent.sha256(), size: extent.size), extent)
    }

    private func choose(from entries: [Entry]) throws(StoreError) -> Entry {
        let names = entries.flatMap(\.tags).sorted()
        if let selection = source.selection {
            let found = entries.first { entry in
                entry.tags.contains { $0 == selection || ImportedName.same($0, selection) }
            }
            guard var found else {
                throw .image(.noSuchTag(source: files.source, tag: selection, available: names))
            }
            found.tags.removeAll { $0 != selection && !ImportedName.same($0, selection) }
            return found
        }
        if entries.count > 1 { throw .image(.severalImages(source: files.source, available: names)) }
        guard let only = entries.first else {
            throw .image(.notAnImageSource(source: files.source, reason: "its manifest.json names no image"))
        }
        return only
    }
}
