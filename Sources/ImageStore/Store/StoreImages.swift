internal import LinuxSystem
internal import OCISpec

extension ImageStore {
    /// The file of the record of a reference: percent-encoded, with a hash for the end of one too long for a file name.
    func recordFile(_ name: String) -> String {
        var encoded = ""
        for byte in name.utf8 {
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            if isPlain {
                encoded.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                encoded += (byte < 0x10 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }
        }
        if encoded.utf8.count > 200 {
            encoded = "\(encoded.prefix(120))~\(ContentHash.sha256(of: Array(name.utf8)).hex)"
        }
        return "\(directories.images)/\(encoded).json"
    }

    func recordFile(of image: ImageRecord) -> String {
        image.reference == ImageRecord.untagged
            ? recordFile("\(ImageRecord.untagged)@\(image.manifestDigest)") : recordFile(image.reference)
    }

    /// The record in a file; nil when there is no such file.
    func record(at path: String) throws(StoreError) -> ImageRecord? {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try File.read(path)
        } catch {
            if error.errno == .noSuchFile { return nil }
            throw .system(error)
        }
        let cursor: JSONCursor
        let config: Digest
        do throws(JSONError) {
            cursor = JSONCursor(try JSON(parsing: bytes))
            config = try Digest(cursor.required("config"))
        } catch {
            throw .image(.damaged(path: path, reason: "\(error)"))
        }
        guard let content = try blob(config) else {
            // Whoever removes or replaces an image changes its record first: look again before calling it damage.
            if (try? File.read(path)) != bytes { return try record(at: path) }
            throw .image(.damaged(path: path, reason: "the configuration \(config) is not in the store"))
        }
        do throws(JSONError) {
            return try ImageRecord(cursor) { _ throws(JSONError) in
                try ImageConfiguration(JSONCursor(JSON(parsing: content)))
            }
        } catch {
            throw .image(.damaged(path: path, reason: "\(error)"))
        }
    }

    /// Every image under every reference, the last one pulled first.
    public func images() throws(StoreError) -> [ImageRecord] {
        let names: [String]
        do throws(SystemError) { names = try File.list(directories.images) } catch { throw .system(error) }
        var records: [ImageRecord] = []
        for name in names where name.hasSuffix(".json") {
            if let record = try record(at: "\(directories.images)/\(name)") { records.append(record) }
        }
        return records.sorted { ($1.pulledAt, $0.reference) < ($0.pulledAt, $1.reference) }
    }

    /// Finds an image by a reference in any form (`busybox`, `docker.io/library/busybox:latest`, `name@sha256:…`), by
    /// the digest of its configuration, manifest or index, or by at least four digits of its ID; nil when there is
    /// none. A short ID that fits several images is an error that names them.
    public func image(_ name: String) throws(StoreError) -> ImageRecord? {
        if let exact = try referenced(name) { return exact }
        return try matches(name).first
    }

    /// Like ``image(_:)``, but an image that is not there is an error that says how to get it.
    public func existingImage(_ name: String) throws(StoreError) -> ImageRecord {
        if let image = try image(name) { return image }
        throw .image(.noSuchImage(name))
    }

    private func referenced(_ name: String) throws(StoreError) -> ImageRecord? {
        guard let reference = try? ImageReference(parsing: name) else { return nil }
        return try record(at: recordFile(reference.description))
    }

    /// All records that a name means: one for a reference, perhaps several (of one image) for a digest or an ID.
    func matches(_ name: String) throws(StoreError) -> [ImageRecord] {
        if let exact = try referenced(name) { return [exact] }
        if let digest = Digest(name) { return try images().filter { $0.isNamed(by: digest) } }
        let reference = try? ImageReference(parsing: name)
        if let reference, let digest = reference.digest {
            return try images().filter { image in
                guard image.isNamed(by: digest), let own = try? ImageReference(parsing: image.reference) else {
                    return false
                }
                return own.registry == reference.registry && own.repository == reference.repository
            }
        }
        let digits = name.hasPrefix("sha256:") ? String(name.dropFirst("sha256:".count)) : name
        let isHex = digits.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard isHex, (4...64).contains(digits.utf8.count) else {
            if reference == nil { throw .image(.invalidName(name)) }
            return []
        }
        let found = try images().filter { $0.config.hex.hasPrefix(digits) }
        let distinct = Set(found.map(\.config))
        if distinct.count > 1 {
            throw .image(.ambiguous(name, candidates: found.map { "\($0.reference) (\($0.config.short))" }.sorted()))
        }
        return found
    }

    /// Records an image whose layers, manifest and configuration are in the store already. Durable when this returns.
    ///
    /// An image that had the reference before stays, untagged, until it is removed or pruned.
    public func commit(_ image: ImageRecord) throws(StoreError) {
        try whileRecordsStandStill { () throws(StoreError) in try commitLocked(image) }
    }

    func commitLocked(_ image: ImageRecord) throws(StoreError) {
        for layer in image.layers where try self.layer(layer.digest) == nil {
            throw .image(.incomplete(image: image.reference, missing: layer.digest))
        }
        for digest in [image.manifestDigest, image.config] + (image.indexDigest.map { [$0] } ?? [])
        where try blob(digest) == nil {
            throw .image(.incomplete(image: image.reference, missing: digest))
        }
        let path = recordFile(of: image)
        if let previous = try record(at: path), previous.manifestDigest != image.manifestDigest,
            image.reference != ImageRecord.untagged
        {
            try untag(previous)
        }
        do throws(SystemError) {
            for layer in image.layers { try indexDiffID(of: layer) }
            try File.replace(path, with: image.json.bytes())
            if image.reference != ImageRecord.untagged {
                try File.removeIfPresent(recordFile("\(ImageRecord.untagged)@\(image.manifestDigest)"))
            }
        } catch {
            throw StoreError(error, writing: 4096, in: directories.images)
        }
    }

    /// Keeps an image that is losing a reference findable by its ID, unless it has another.
    func untag(_ image: ImageRecord) throws(StoreError) {
        let hasOther = try images().contains {
            $0.manifestDigest == image.manifestDigest && $0.reference != image.reference
        }
        if hasOther { return }
        var left = image
        left.reference = ImageRecord.untagged
        do throws(SystemError) { try File.replace(recordFile(of: left), with: left.json.bytes()) } catch {
            throw StoreError(error, writing: 4096, in: directories.images)
        }
    }
}
