/// An incremental reader of tar archives: fed with pieces of any size, it returns what they contain. It reads v7,
/// ustar, star, GNU and pax archives (POSIX.1-2001 pax(1), GNU tar manual chapter "Tar Internals") and believes nothing
/// they say without checking it.
final class TarParser {
    /// What the input held next.
    enum Event {
        /// The input is used up.
        case needsInput
        /// A member begins; it is in ``TarParser/entry`` until the next one.
        case entry
        /// Content of the member, to stand at `offset` of the expanded file.
        case data(UnsafeRawBufferPointer, offset: Int64)
        /// The member's content is complete.
        case entryEnd
    }

    enum State {
        case header
        /// Collecting the content of an extended header of this type.
        case metadata(UInt8)
        /// Before a block that continues an old GNU sparse map.
        case sparseContinuation
        /// Before a block of a GNU 1.0 sparse map.
        case sparseText
        case data
        /// After the content of a member, before its end is told.
        case dataEnd
        /// After the two zero blocks: whatever follows is padding.
        case ended
    }

    let limits: ArchiveLimits
    /// The member that was returned last.
    var entry = TarEntry()
    /// Stored bytes of the member that have not been returned.
    private(set) var storedRemaining: Int64 = 0

    private var storedSize: Int64 = 0

    var state = State.header
    /// Bytes consumed.
    private var position: Int64 = 0
    private var block: UnsafeMutableRawBufferPointer
    private var blockFill = 0
    private var padding = 0
    private var entries = 0
    private var sawZeroBlock = false

    var globals = TarAttributes()
    var locals: TarAttributes?
    var longPath: [UInt8]?
    var longLinkTarget: [UInt8]?
    private var metadata: [UInt8] = []
    private var metadataRemaining = 0
    private var metadataTotal = 0

    var sparse = SparseMap()
    var sparseText = SparseMapText()
    private var sparseParts = 0
    /// Stored bytes of a sparse member behind its map.
    var sparseStored: Int64 = 0
    private var sparsePart = 0
    /// Offset in the expanded file of the next stored byte.
    private var offset: Int64 = 0

    init(limits: ArchiveLimits = ArchiveLimits()) {
        self.limits = limits
        block = .allocate(byteCount: TarHeader.blockSize, alignment: 16)
    }

    deinit { block.deallocate() }

    /// Takes what comes next off the front of `input`. Pieces of content point into `input`.
    func next(_ input: inout UnsafeRawBufferPointer) throws(ArchiveError) -> Event {
        while true {
            if padding > 0 {
                let skipped = min(padding, input.count)
                consume(skipped, of: &input)
                padding -= skipped
                if padding > 0 { return .needsInput }
            }
            switch state {
            case .header:
                guard let block = takeBlock(&input) else { return .needsInput }
                let start = position - Int64(TarHeader.blockSize)
                if try readHeader(TarHeader(block), at: start) { return .entry }
            case .metadata(let type):
                guard takeMetadata(&input) else { return .needsInput }
                state = .header
                try asArchiveError { () throws(ArchiveError.Problem) in try self.readMetadata(type) }
            case .sparseContinuation:
                guard let block = takeBlock(&input) else { return .needsInput }
                let header = TarHeader(block)
                try asArchiveError { () throws(ArchiveError.Problem) in
                    try self.addSparseParts(header.sparseContinuation)
                    if !header.sparseContinuationIsContinued { try self.beginSparseData() }
                }
                if case .data = state { return .entry }
            case .sparseText:
                guard let block = takeBlock(&input) else { return .needsInput }
                try asArchiveError { () throws(ArchiveError.Problem) in try self.readSparseText(block) }
                if case .data = state { return .entry }
            case .data:
                guard storedRemaining > 0 else {
                    state = .dataEnd
                    continue
                }
                if input.isEmpty { return .needsInput }
                return takeData(&input)
            case .dataEnd:
                padding = Self.padding(after: storedSize)
                state = .header
                return .entryEnd
            case .ended:
                consume(input.count, of: &input)
                return .needsInput
            }
        }
    }

    /// Must be called when the archive has ended: throws unless it may end here.
    func finish() throws(ArchiveError) {
        switch state {
        case .ended: return
        // umoci writes layers that stop right behind the last byte of the last file: padding may be missing.
        case .header where blockFill == 0 && locals == nil && longPath == nil && longLinkTarget == nil:
            return
        default: throw ArchiveError(entry: printable(entry.path), offset: position, .truncated)
        }
    }

    /// An error that names the current member.
    func failure(_ problem: ArchiveError.Problem) -> ArchiveError {
        ArchiveError(entry: printable(entry.path), offset: entry.headerOffset, problem)
    }

    /// Tells that `count` stored bytes of the member were passed over outside of the input.
    func skipStored(_ count: Int64) {
        precondition(count <= storedRemaining && blockFill == 0)
        storedRemaining -= count
        position += count
    }

    // MARK: Taking bytes

    private func consume(_ count: Int, of input: inout UnsafeRawBufferPointer) {
        position += Int64(count)
        input = UnsafeRawBufferPointer(rebasing: input[count...])
    }

    /// A whole block: within `input` where it lies in one piece, else put together.
    private func takeBlock(_ input: inout UnsafeRawBufferPointer) -> UnsafeRawPointer? {
        let size = TarHeader.blockSize
        if blockFill == 0, input.count >= size, let start = input.baseAddress {
            consume(size, of: &input)
            return start
        }
        let taken = min(size - blockFill, input.count)
        if taken > 0 {
            UnsafeMutableRawBufferPointer(rebasing: block[blockFill..<(blockFill + taken)])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: input[..<taken]))
            consume(taken, of: &input)
            blockFill += taken
        }
        guard blockFill == size else { return nil }
        blockFill = 0
        return block.baseAddress.map { UnsafeRawPointer($0) }
    }

    private func takeMetadata(_ input: inout UnsafeRawBufferPointer) -> Bool {
        let taken = min(metadataRemaining, input.count)
        metadata.append(contentsOf: UnsafeRawBufferPointer(rebasing: input[..<taken]))
        consume(taken, of: &input)
        metadataRemaining -= taken
        return metadataRemaining == 0
    }

    private func takeData(_ input: inout UnsafeRawBufferPointer) -> Event {
        var count = Int(min(Int64(input.count), storedRemaining))
        if entry.isSparse {
            let part = sparse.parts[sparsePart]
            if offset < part.lowerBound { offset = part.lowerBound }
            count = Int(min(Int64(count), part.upperBound - offset))
            if offset + Int64(count) == part.upperBound { sparsePart += 1 }
        }
        let piece = UnsafeRawBufferPointer(rebasing: input[..<count])
        consume(count, of: &input)
        storedRemaining -= Int64(count)
        defer { offset += Int64(count) }
        return .data(piece, offset: offset)
    }

    // MARK: Headers

    /// Reads one header block; true when it begins a member without further blocks before its content.
    private func readHeader(_ header: TarHeader, at start: Int64) throws(ArchiveError) -> Bool {
        if header.isZero {
            if sawZeroBlock { state = .ended }
            sawZeroBlock = true
            return false
        }
        entry.headerOffset = start
        entry.path.removeAll(keepingCapacity: true)
        guard header.hasValidChecksum else { throw ArchiveError(entry: nil, offset: start, .badChecksum) }
        if longPath == nil, locals?.path == nil { header.appendPath(to: &entry.path) }
        if sawZeroBlock { throw failure(.loneZeroBlock) }
        try asArchiveError { () throws(ArchiveError.Problem) in
            switch header.type {
            case UInt8(ascii: "x"), UInt8(ascii: "X"), UInt8(ascii: "g"), UInt8(ascii: "L"), UInt8(ascii: "K"):
                try self.beginMetadata(header)
            default:
                self.entries += 1
                guard self.entries <= self.limits.entries else { throw .tooManyEntries(limit: self.limits.entries) }
                try self.beginEntry(header)
            }
        }
        if case .data = state { return true }
        return false
    }

    private func beginMetadata(_ header: TarHeader) throws(ArchiveError.Problem) {
        guard let size = header.size else { throw .badNumber(field: "size") }
        guard size >= 0 else { throw .sizeOutOfBounds }
        guard size <= limits.header else { throw .headerTooLarge(limit: limits.header) }
        metadataTotal += Int(size)
        guard metadataTotal <= limits.headers else { throw .headersTooLarge(limit: limits.headers) }
        metadata.removeAll(keepingCapacity: metadata.capacity <= 64 << 10)
        metadataRemaining = Int(size)
        state = .metadata(header.type)
    }

    private func readMetadata(_ type: UInt8) throws(ArchiveError.Problem) {
        padding = Self.padding(after: Int64(metadata.count))
        switch type {
        case UInt8(ascii: "L"): longPath = Array(metadata.prefix { $0 != 0 })
        case UInt8(ascii: "K"): longLinkTarget = Array(metadata.prefix { $0 != 0 })
        case UInt8(ascii: "g"):
            var changed = globals
            try parse(&changed, isGlobal: true)
            globals = changed
        default:
            var changed = globals
            try parse(&changed, isGlobal: false)
            locals = changed
        }
    }

    private func parse(_ attributes: inout TarAttributes, isGlobal: Bool) throws(ArchiveError.Problem) {
        var problem: ArchiveError.Problem?
        metadata.withUnsafeBytes { records in
            do throws(ArchiveError.Problem) { try attributes.parse(records, isGlobal: isGlobal) } catch {
                problem = error
            }
        }
        if let problem { throw problem }
    }

    /// Sets up the content of the member whose header is complete.
    func beginData(stored: Int64) {
        storedRemaining = stored
        storedSize = stored
        offset = 0
        sparsePart = 0
        entry.dataOffset = position
        state = .data
    }

    func addSparseParts(_ parts: TarHeader.SparseParts) throws(ArchiveError.Problem) {
        for index in 0..<parts.room where parts.isPresent(index) {
            guard let offset = parts.offset(index), let length = parts.length(index) else {
                throw .badNumber(field: "sparse")
            }
            sparseParts += 1
            guard sparseParts * 24 <= limits.header else { throw .headerTooLarge(limit: limits.header) }
            try sparse.append(offset: offset, length: length)
        }
    }

    func resetSparse() {
        sparse = SparseMap()
        sparseText = SparseMapText()
        sparseParts = 0
    }

    static func padding(after size: Int64) -> Int {
        Int((Int64(TarHeader.blockSize) - size % Int64(TarHeader.blockSize)) % Int64(TarHeader.blockSize))
    }

    private func asArchiveError(_ body: () throws(ArchiveError.Problem) -> Void) throws(ArchiveError) {
        do throws(ArchiveError.Problem) { try body() } catch { throw failure(error) }
    }

    private func printable(_ path: [UInt8]) -> String? {
        path.isEmpty ? nil : PrintableName.make(path)
    }
}
