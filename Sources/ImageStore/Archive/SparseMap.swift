/// Which parts of a sparse file an archive stores: ascending, non-overlapping ranges of the expanded file.
struct SparseMap {
    private(set) var parts: [Range<Int64>] = []
    private(set) var storedSize: Int64 = 0

    /// Adds a part behind all others.
    mutating func append(offset: Int64, length: Int64) throws(ArchiveError.Problem) {
        guard offset >= 0, length >= 0, length <= Int64.max - offset else {
            throw .badSparseMap(reason: "a part is out of bounds")
        }
        guard offset >= parts.last?.upperBound ?? 0 else { throw .badSparseMap(reason: "its parts are not in order") }
        if length == 0 { return }
        parts.append(offset..<(offset + length))
        storedSize += length
    }

    mutating func append(pairs: [Int64]) throws(ArchiveError.Problem) {
        guard pairs.count % 2 == 0 else { throw .badSparseMap(reason: "an offset has no length") }
        for index in stride(from: 0, to: pairs.count, by: 2) {
            try append(offset: pairs[index], length: pairs[index + 1])
        }
    }

    /// Holds the map against the expanded size and the bytes the archive stores.
    func check(realSize: Int64, storedSize: Int64) throws(ArchiveError.Problem) {
        guard parts.last?.upperBound ?? 0 <= realSize else {
            throw .badSparseMap(reason: "a part lies beyond the end of the file")
        }
        guard self.storedSize == storedSize else {
            throw .badSparseMap(reason: "its parts do not add up to the bytes that are stored")
        }
    }
}

/// The map of GNU's format 1.0, which stands before the content: decimal numbers, one a line, in whole blocks.
struct SparseMapText {
    private var number: Int64 = 0
    private var hasDigit = false
    private var expected: Int64?
    private(set) var pairs: [Int64] = []

    /// Reads one block; true when the map is complete.
    mutating func take(_ block: UnsafeRawBufferPointer, limit: Int) throws(ArchiveError.Problem) -> Bool {
        for byte in block {
            if byte == 0x0A {
                guard hasDigit else { throw .badSparseMap(reason: "it has an empty line") }
                if let expected {
                    pairs.append(number)
                    if pairs.count == expected { return true }
                } else {
                    guard number <= Int64(limit / 2) else { throw .headerTooLarge(limit: limit) }
                    expected = number * 2
                    if number == 0 { return true }
                }
                number = 0
                hasDigit = false
            } else {
                let (shifted, overflow) = number.multipliedReportingOverflow(by: 10)
                guard (0x30...0x39).contains(byte), !overflow, shifted <= Int64.max - 9 else {
                    throw .badSparseMap(reason: "it contains something else than numbers")
                }
                number = shifted + Int64(byte - 0x30)
                hasDigit = true
            }
        }
        return false
    }
}
