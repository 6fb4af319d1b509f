extension TarParser {
    /// Fills ``entry`` from a header block and the extended headers before it, and goes on to its content, or to the
    /// blocks of a sparse map that stand before that.
    func beginEntry(_ header: TarHeader) throws(ArchiveError.Problem) {
        let attributes = locals ?? globals
        locals = nil
        try setNames(header, attributes)
        guard !entry.path.contains(0), !entry.linkTarget.contains(0) else { throw .nulInName }
        try setKind(header)
        try setOwnership(header, attributes)
        entry.extendedAttributes = attributes.extendedAttributes
        let stored = try storedSize(header, attributes)
        try beginContent(header, attributes, stored: stored)
    }

    private func setNames(_ header: TarHeader, _ attributes: TarAttributes) throws(ArchiveError.Problem) {
        if let path = longPath ?? attributes.sparse.name ?? attributes.path { entry.path = path }
        longPath = nil
        if let target = longLinkTarget ?? attributes.linkTarget {
            entry.linkTarget = target
        } else {
            entry.linkTarget.removeAll(keepingCapacity: true)
            header.appendLinkTarget(to: &entry.linkTarget)
        }
        longLinkTarget = nil
    }

    private func setKind(_ header: TarHeader) throws(ArchiveError.Problem) {
        switch header.type {
        case 0:
            // Before POSIX a directory was a file whose name ends with a slash.
            entry.kind = entry.path.last == UInt8(ascii: "/") ? .directory : .file
        case UInt8(ascii: "0"), UInt8(ascii: "7"), UInt8(ascii: "S"): entry.kind = .file
        case UInt8(ascii: "1"): entry.kind = .hardLink
        case UInt8(ascii: "2"): entry.kind = .symbolicLink
        case UInt8(ascii: "3"): entry.kind = .characterDevice
        case UInt8(ascii: "4"): entry.kind = .blockDevice
        case UInt8(ascii: "5"): entry.kind = .directory
        case UInt8(ascii: "6"): entry.kind = .fifo
        default: throw .unsupportedType(header.type)
        }
    }

    private func setOwnership(_ header: TarHeader, _ attributes: TarAttributes) throws(ArchiveError.Problem) {
        guard let mode = header.mode, mode >= 0 else { throw .badNumber(field: "mode") }
        entry.mode = UInt16(truncatingIfNeeded: mode & 0o7777)
        entry.uid = try Self.identifier(attributes.uid, header.uid, "uid")
        entry.gid = try Self.identifier(attributes.gid, header.gid, "gid")
        if let modified = attributes.modified {
            entry.modified = modified
            entry.modifiedNanoseconds = attributes.modifiedNanoseconds
        } else {
            guard let modified = header.modified else { throw .badNumber(field: "mtime") }
            entry.modified = modified
            entry.modifiedNanoseconds = 0
        }
        entry.deviceMajor = 0
        entry.deviceMinor = 0
        if entry.kind == .characterDevice || entry.kind == .blockDevice {
            guard let major = header.deviceMajor.flatMap({ UInt32(exactly: $0) }),
                let minor = header.deviceMinor.flatMap({ UInt32(exactly: $0) })
            else { throw .badNumber(field: "devmajor") }
            entry.deviceMajor = major
            entry.deviceMinor = minor
        }
    }

    private static func identifier(
        _ extended: UInt32?, _ header: Int64?, _ field: String
    ) throws(ArchiveError.Problem) -> UInt32 {
        if let extended { return extended }
        // The number with all bits set means "none" to chown(2) and to the kernel.
        guard let header, let number = UInt32(exactly: header), number != .max else { throw .badNumber(field: field) }
        return number
    }

    private func storedSize(_ header: TarHeader, _ attributes: TarAttributes) throws(ArchiveError.Problem) -> Int64 {
        // Only files have content; a size elsewhere is that of a link's target, or noise.
        guard entry.kind == .file else { return 0 }
        guard let size = attributes.size ?? header.size else { throw .badNumber(field: "size") }
        guard size >= 0, size <= limits.file else { throw .sizeOutOfBounds }
        return size
    }

    // MARK: Sparse files

    private func beginContent(
        _ header: TarHeader, _ attributes: TarAttributes, stored: Int64
    ) throws(ArchiveError.Problem) {
        entry.size = stored
        entry.isSparse = false
        if entry.kind == .file, header.type == UInt8(ascii: "S"), header.dialect == .gnu {
            try beginOldSparse(header, stored: stored)
        } else if entry.kind == .file, attributes.sparse.isPresent {
            try beginExtendedSparse(attributes.sparse, stored: stored)
        } else {
            guard header.type != UInt8(ascii: "S") else { throw .unsupportedType(header.type) }
            beginData(stored: stored)
        }
    }

    private func beginOldSparse(_ header: TarHeader, stored: Int64) throws(ArchiveError.Problem) {
        guard let size = header.sparseRealSize else { throw .badNumber(field: "realsize") }
        try beginSparse(realSize: size, stored: stored)
        try addSparseParts(header.sparseMap)
        if header.sparseIsContinued {
            state = .sparseContinuation
        } else {
            try beginSparseData()
        }
    }

    private func beginExtendedSparse(
        _ attributes: TarAttributes.SparseAttributes, stored: Int64
    ) throws(ArchiveError.Problem) {
        guard let size = attributes.realSize else { throw .badSparseMap(reason: "the size is missing") }
        try beginSparse(realSize: size, stored: stored)
        switch (attributes.major ?? 0, attributes.minor ?? 0) {
        case (0, _):
            try sparse.append(pairs: attributes.map)
            try beginSparseData()
        case (1, 0): state = .sparseText
        case (let major, let minor):
            throw .badSparseMap(reason: "its format \(major).\(minor) is not known")
        }
    }

    private func beginSparse(realSize: Int64, stored: Int64) throws(ArchiveError.Problem) {
        guard realSize >= 0, realSize <= limits.file else { throw .sizeOutOfBounds }
        resetSparse()
        entry.size = realSize
        entry.isSparse = true
        sparseStored = stored
    }

    func beginSparseData() throws(ArchiveError.Problem) {
        try sparse.check(realSize: entry.size, storedSize: sparseStored)
        beginData(stored: sparseStored)
    }

    /// Reads a block of a format 1.0 map, which counts as part of the stored content.
    func readSparseText(_ block: UnsafeRawPointer) throws(ArchiveError.Problem) {
        let size = Int64(TarHeader.blockSize)
        guard sparseStored >= size else { throw .badSparseMap(reason: "it is longer than the stored content") }
        sparseStored -= size
        let text = UnsafeRawBufferPointer(start: block, count: TarHeader.blockSize)
        if try sparseText.take(text, limit: limits.header) {
            try sparse.append(pairs: sparseText.pairs)
            try beginSparseData()
        }
    }
}
