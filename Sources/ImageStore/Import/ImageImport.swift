internal import CLinux
internal import Glibc
internal import LinuxSystem
public import OCISpec

extension ImageStore {
    /// Brings an image from a layout or archive into the store.
    ///
    /// Every digest and diff ID is verified; when one is wrong, or anything else fails, nothing of the import is left.
    ///
    /// - Parameters:
    ///   - source: Where it is. Standard input is read once: layers go into the store as they come.
    ///   - reference: What to call it. By default as the source does; the image is untagged where that says nothing.
    ///   - progress: Called from this thread.
    /// - Returns: The record of the first of its references.
    public func importImage(
        from source: ImageSource, as reference: ImageReference? = nil, _ options: ImportOptions = ImportOptions(),
        progress: (PullProgress) -> Void
    ) throws(StoreError) -> ImageRecord {
        let images = try importing { (work: inout ImportWork) throws(StoreError) in
            let files = try open(source, options, progress, &work)
            return try importPlan(try plan(source, files), source, files, as: reference, options, progress, &work)
        }
        guard let image = images.first else { preconditionFailure("an image is recorded at least once") }
        return image
    }

    /// Brings every image of a layout or archive into the store, under all references it gives them: all of them, or
    /// where one fails none.
    ///
    /// - Returns: One record a reference.
    public func importImages(
        from source: ImageSource, _ options: ImportOptions = ImportOptions(), progress: (PullProgress) -> Void
    ) throws(StoreError) -> [ImageRecord] {
        try importing { (work: inout ImportWork) throws(StoreError) in
            let files = try open(source, options, progress, &work)
            let plans = try plans(source, files)
            // A refusal must come before anything is recorded.
            for plan in plans { try options.check(plan) }
            var prepared: [(ImportPlan, [LayerRecord])] = []
            for plan in plans {
                work.pins.append(try pinLayers(plan.contents.layers.map(\.descriptor.digest)))
                prepared.append((plan, try importLayers(plan, files.source, options, progress, &work)))
            }
            var images: [ImageRecord] = []
            for (plan, records) in prepared { images += try record(plan, records, source, as: nil, options) }
            return images
        }
    }

    /// What an import has done so far.
    private struct ImportWork {
        /// Layers it brought into the store.
        var brought: [Digest] = []
        var pins: [LayerPins] = []
    }

    private func importing(
        _ body: (inout ImportWork) throws(StoreError) -> [ImageRecord]
    ) throws(StoreError) -> [ImageRecord] {
        var work = ImportWork()
        let images: [ImageRecord]
        do throws(StoreError) { images = try body(&work) } catch {
            work.pins = []
            // What went wrong is worth more than what goes wrong while cleaning up: that is left to the next prune.
            _ = try? discardLayers(work.brought)
            throw error
        }
        let needed = Set(images.flatMap { $0.layers.map(\.digest) + ($0.origin?.layers.map(\.digest) ?? []) })
        work.pins = []
        try discardLayers(work.brought.filter { !needed.contains($0) })
        return images
    }

    private func importPlan(
        _ plan: ImportPlan, _ source: ImageSource, _ files: any ImageFiles, as reference: ImageReference?,
        _ options: ImportOptions, _ progress: (PullProgress) -> Void, _ work: inout ImportWork
    ) throws(StoreError) -> [ImageRecord] {
        var plan = plan
        if let reference { plan.references = [reference.description] }
        try options.check(plan)
        work.pins.append(try pinLayers(plan.contents.layers.map(\.descriptor.digest)))
        let records = try importLayers(plan, files.source, options, progress, &work)
        return try record(plan, records, source, as: reference, options)
    }

    private func record(
        _ plan: ImportPlan, _ records: [LayerRecord], _ source: ImageSource, as reference: ImageReference?,
        _ options: ImportOptions
    ) throws(StoreError) -> [ImageRecord] {
        var origin = source.origin
        origin.layers = plan.contents.layers.map(\.descriptor)
        let references = reference.map { [$0.description] } ?? plan.references
        var images: [ImageRecord] = []
        for name in references.isEmpty ? [nil] : references.map(Optional.some) {
            images.append(
                try commit(
                    plan.contents, layers: records, reference: name, source: source.description, origin: origin))
        }
        return images
    }

    private func plans(_ source: ImageSource, _ files: any ImageFiles) throws(StoreError) -> [ImportPlan] {
        if try files.file("index.json") != nil { return try LayoutSelection(files: files, source: source).plans() }
        if try files.file("manifest.json") != nil { return try DockerArchive(files: files, source: source).plans() }
        throw .image(
            .notAnImageSource(
                source: source.description, reason: "there is neither an index.json nor a manifest.json in it"))
    }

    private func plan(_ source: ImageSource, _ files: any ImageFiles) throws(StoreError) -> ImportPlan {
        switch source.kind {
        case .layout, .ociArchive:
            if try files.file("index.json") == nil {
                let isDocker = try files.file("manifest.json") != nil
                throw .image(
                    .notAnImageSource(
                        source: source.description,
                        reason: "there is no index.json in it"
                            + (isDocker ? ", but a manifest.json: write docker-archive: instead" : "")))
            }
            return try LayoutSelection(files: files, source: source).plan()
        case .dockerArchive:
            if try files.file("manifest.json") == nil {
                let isLayout = try files.file("index.json") != nil
                throw .image(
                    .notAnImageSource(
                        source: source.description,
                        reason: "there is no manifest.json in it"
                            + (isLayout ? ", but an index.json: write oci-archive: instead" : "")))
            }
            return try DockerArchive(files: files, source: source).plan()
        case .stream:
            // Docker 25 and later write both; the layout says more.
            if try files.file("index.json") != nil { return try LayoutSelection(files: files, source: source).plan() }
            if try files.file("manifest.json") != nil { return try DockerArchive(files: files, source: source).plan() }
            throw .image(
                .notAnImageSource(
                    source: source.description, reason: "there is neither an index.json nor a manifest.json in it"))
        }
    }

    private func importLayers(
        _ plan: ImportPlan, _ source: String, _ options: ImportOptions, _ progress: (PullProgress) -> Void,
        _ work: inout ImportWork
    ) throws(StoreError) -> [LayerRecord] {
        try reserveSpace(
            for: zip(plan.contents.layers, plan.extents).compactMap { $1 == nil ? nil : $0.descriptor })
        var records: [Digest: LayerRecord] = [:]
        let jobs = zip(plan.contents.layers, plan.extents).sorted { $0.0.descriptor.size > $1.0.descriptor.size }
        for (layer, extent) in jobs where records[layer.descriptor.digest] == nil {
            let digest = layer.descriptor.digest
            var record = try heldLayer(layer, &work.pins)
            if record != nil {
                let size = layer.descriptor.size
                progress(PullProgress(layer: digest, received: size, total: size, phase: .exists))
            } else {
                guard let extent else {
                    throw .image(.missingPart(source: source, part: "the layer \(digest)"))
                }
                record = try importLayer(layer, extent, progress, &work.brought)
            }
            if options.keepBlobs { try keep(layer.descriptor, extent, source, &work.brought) }
            records[digest] = record
        }
        return plan.contents.layers.compactMap { records[$0.descriptor.digest] }
    }

    /// A layer that is in the store already, under this digest or as other transport of the same content.
    private func heldLayer(
        _ layer: ImageContents.Layer, _ pins: inout [LayerPins]
    ) throws(StoreError) -> LayerRecord? {
        if let record = try self.layer(layer.descriptor, diffID: layer.diffID) { return record }
        guard let other = try self.layer(diffID: layer.diffID) else { return nil }
        pins.append(try pinLayers([other.digest]))
        return try self.layer(other.digest)
    }

    private func importLayer(
        _ layer: ImageContents.Layer, _ extent: Extent, _ progress: (PullProgress) -> Void, _ brought: inout [Digest]
    ) throws(StoreError) -> LayerRecord {
        let digest = layer.descriptor.digest
        let total = layer.descriptor.size
        progress(PullProgress(layer: digest, received: 0, total: total, phase: .waiting))
        let lock = try lockLayer(digest)
        defer { withExtendedLifetime(lock) {} }
        if let record = try self.layer(layer.descriptor, diffID: layer.diffID) {
            progress(PullProgress(layer: digest, received: total, total: total, phase: .exists))
            return record
        }
        let record = try withSpace { () throws(StoreError) in
            try ingest(layer, extent) { received in
                progress(PullProgress(layer: digest, received: received, total: total, phase: .pulling))
            } verifying: {
                progress(PullProgress(layer: digest, received: total, total: total, phase: .verifying))
            }
        }
        brought.append(digest)
        progress(PullProgress(layer: digest, received: total, total: total, phase: .done))
        return record
    }

    private func ingest(
        _ layer: ImageContents.Layer, _ extent: Extent, pulling: (Int64) -> Void, verifying: () -> Void
    ) throws(StoreError) -> LayerRecord {
        let ingest = try ingestLayer(layer.descriptor, expectedDiffID: layer.diffID)
        do throws(StoreError) {
            var received: Int64 = 0
            try extent.read { piece throws(StoreError) in
                try ingest.receive(piece)
                received += Int64(piece.count)
                pulling(received)
            }
            verifying()
            return try ingest.finish()
        } catch {
            ingest.abandon()
            throw try digestMismatch(behind: error, layer.descriptor.digest, extent) ?? error
        }
    }

    /// A layer that cannot be unpacked is most often one that was damaged: then its digest says so more plainly.
    private func digestMismatch(
        behind error: StoreError, _ digest: Digest, _ extent: Extent
    ) throws(StoreError) -> StoreError? {
        switch error {
        case .damagedCompression, .refusedArchive: break
        default: return nil
        }
        guard digest.algorithm == "sha256" else { return nil }
        let computed = try extent.sha256()
        return computed == digest ? nil : .wrongDigest(expected: digest, computed: computed)
    }

    /// Keeps the blob of a layer as it is in the source.
    private func keep(
        _ descriptor: Descriptor, _ extent: Extent?, _ source: String, _ brought: inout [Digest]
    ) throws(StoreError) {
        if try keptBlob(descriptor) != nil { return }
        guard let extent else { throw .image(.missingPart(source: source, part: "the layer \(descriptor.digest)")) }
        let keeper = try keepBlob(descriptor, hashing: true)
        do throws(StoreError) {
            try extent.read { piece throws(StoreError) in try keeper.write(piece) }
            try keeper.finish()
        } catch {
            keeper.abandon()
            throw error
        }
        brought.append(descriptor.digest)
    }

    /// The files of a source that was imported before.
    func reopen(_ source: ImageSource) throws(StoreError) -> any ImageFiles {
        var work = ImportWork()
        // Nothing of it is to become a layer.
        return try open(source, ImportOptions(keepBlobs: true), { _ in }, &work)
    }

    /// The files of a source, whichever way they can be read.
    private func open(
        _ source: ImageSource, _ options: ImportOptions, _ progress: (PullProgress) -> Void, _ work: inout ImportWork
    ) throws(StoreError) -> any ImageFiles {
        let descriptor: SharedDescriptor
        switch source.kind {
        case .layout(let directory):
            return LayoutDirectory(path: directory, source: source.description)
        case .ociArchive(let file), .dockerArchive(let file):
            do throws(SystemError) { descriptor = SharedDescriptor(try File.open(file, O_RDONLY)) } catch {
                throw .system(error)
            }
        case .stream(let given, _): descriptor = given
        }
        let isRegular: Bool
        let start = lseek(descriptor.rawValue, 0, SEEK_CUR)
        var head = [UInt8](repeating: 0, count: 512)
        do throws(SystemError) {
            isRegular = try File.status(of: descriptor.rawValue).mode & S_IFMT == S_IFREG && start >= 0
            var filled = 0
            while filled < head.count {
                let room = head.count - filled
                let got = retrying {
                    head.withUnsafeMutableBytes { bytes -> Int in
                        let got = Glibc.read(descriptor.rawValue, bytes.baseAddress! + filled, room)
                        return got < 0 ? -Int(errno) : got
                    }
                }
                try check(got, "read", path: source.description)
                if got == 0 { break }
                filled += got
            }
            head.removeLast(head.count - filled)
        } catch {
            throw .system(error)
        }
        if head.isEmpty { throw .image(.notAnImageSource(source: source.description, reason: "it is empty")) }
        let compression = LayerCompression(sniffing: head)
        if compression == .none, isRegular {
            return try ArchiveFiles(indexing: descriptor, from: Int64(start), source: source.description)
        }
        var spool = try ArchiveSpool(self, source: source.description, options)
        defer {
            work.brought.append(contentsOf: spool.brought)
            work.pins.append(contentsOf: spool.pins)
        }
        if compression != .none { return try spool.inflate(descriptor.rawValue, after: head) }
        return try spool.read(descriptor.rawValue, after: head, progress: progress)
    }
}
