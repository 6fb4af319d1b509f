internal import OCISpec

/// Finds one image in an OCI image layout (image-spec, image-layout.md).
struct LayoutSelection {
    let files: any ImageFiles
    let source: ImageSource

    /// Indexes may name further indexes; real ones do so once.
    private static let deepest = 4

    func plan() throws(StoreError) -> ImportPlan { try plan(of: try choose(from: try index())) }

    /// Every image in the layout; what is no image, such as a signature, is passed over.
    func plans() throws(StoreError) -> [ImportPlan] {
        var groups: [(name: String, members: [Descriptor])] = []
        for entry in try index().manifests where entry.annotations["vnd.docker.reference.type"] == nil {
            let name = ImportedName.display(entry.annotations) ?? entry.digest.description
            if let known = groups.firstIndex(where: { $0.name == name }) {
                groups[known].members.append(entry)
            } else {
                groups.append((name, [entry]))
            }
        }
        var plans: [ImportPlan] = []
        for group in groups {
            let chosen = try choose(among: group.members, names: groups.map(\.name))
            do throws(StoreError) { plans.append(try plan(of: chosen)) } catch {
                guard case .image(.artifact) = error, groups.count > 1 else { throw error }
            }
        }
        if plans.isEmpty {
            throw .image(.notAnImageSource(source: files.source, reason: "its index.json names no image"))
        }
        return plans
    }

    private func index() throws(StoreError) -> ImageIndex {
        try parse(try files.required("index.json").bytes(), "index.json of \(files.source)")
    }

    private func plan(of chosen: Descriptor) throws(StoreError) -> ImportPlan {
        let name = ImportedName.display(chosen.annotations) ?? files.source
        let image = try resolve(chosen, name: name, depth: 0)
        let parsed = try ImageContents.parseManifest(image.manifestBytes, name: name)
        let contents = try ImageContents(
            manifest: image.manifest, manifestBytes: image.manifestBytes,
            configurationBytes: try files.document(parsed.config.digest), indexDigest: image.index?.digest,
            indexBytes: image.index?.bytes, name: name)
        var extents: [Extent?] = []
        for layer in contents.layers {
            extents.append(try files.file(type(of: files).blobName(layer.descriptor.digest)))
        }
        let reference = ImportedName.reference(chosen.annotations, source: source)
        return ImportPlan(contents: contents, extents: extents, references: reference.map { [$0] } ?? [])
    }

    /// The entry of the layout's index that was asked for, or the only one.
    private func choose(from index: ImageIndex) throws(StoreError) -> Descriptor {
        let images = index.manifests.filter { $0.annotations["vnd.docker.reference.type"] == nil }
        let names = Set(images.compactMap { ImportedName.display($0.annotations) }).sorted()
        var candidates = images
        if let selection = source.selection {
            candidates = images.filter { ImportedName.matches($0.annotations, selection) }
            if candidates.isEmpty {
                throw .image(.noSuchTag(source: files.source, tag: selection, available: names))
            }
        }
        return try choose(among: candidates, names: names)
    }

    /// The only one of these entries, or the one for this machine.
    private func choose(among entries: [Descriptor], names: [String]) throws(StoreError) -> Descriptor {
        var candidates = entries
        if candidates.count > 1, candidates.contains(where: { $0.platform != nil }) {
            let all = candidates
            candidates = candidates.filter { $0.platform?.runs(on: .host) ?? false }
            if candidates.isEmpty {
                throw .image(.noPlatform(source: files.source, available: Self.platforms(all)))
            }
        }
        if Set(candidates.map(\.digest)).count > 1 {
            throw .image(.severalImages(source: files.source, available: names))
        }
        guard let chosen = candidates.first else {
            throw .image(.notAnImageSource(source: files.source, reason: "its index.json names no image"))
        }
        return chosen
    }

    private struct Resolved {
        var manifest: Descriptor
        var manifestBytes: [UInt8]
        var index: (digest: Digest, bytes: [UInt8])?
    }

    /// Follows indexes down to the manifest for this machine.
    private func resolve(_ descriptor: Descriptor, name: String, depth: Int) throws(StoreError) -> Resolved {
        let bytes = try files.document(descriptor.digest)
        guard MediaType.indexes.contains(descriptor.mediaType) else {
            return Resolved(manifest: descriptor, manifestBytes: bytes)
        }
        if depth == Self.deepest {
            throw .image(
                .notAnImageSource(source: files.source, reason: "its indexes are nested deeper than \(Self.deepest)"))
        }
        let index = try parse(bytes, "the index of \(name)")
        guard let chosen = index.manifest(for: .host) else {
            throw .image(.noPlatform(source: files.source, available: Self.platforms(index.manifests)))
        }
        var resolved = try resolve(chosen, name: name, depth: depth + 1)
        resolved.index = (descriptor.digest, bytes)
        return resolved
    }

    private func parse(_ bytes: [UInt8], _ what: String) throws(StoreError) -> ImageIndex {
        do throws(JSONError) { return try ImageIndex(JSONCursor(JSON(parsing: bytes))) } catch {
            throw .image(.malformed(what: what, error))
        }
    }

    private static func platforms(_ manifests: [Descriptor]) -> [String] {
        Set(manifests.compactMap(\.platform?.description).filter { !$0.hasPrefix("unknown/") }).sorted()
    }
}
