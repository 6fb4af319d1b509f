internal import OCISpec

/// What extended headers (POSIX.1-2001 pax) say of the members that follow. A value that is absent says nothing.
struct TarAttributes {
    var path: [UInt8]?
    var linkTarget: [UInt8]?
    var size: Int64?
    var uid: UInt32?
    var gid: UInt32?
    var modified: Int64?
    var modifiedNanoseconds: UInt32 = 0
    var extendedAttributes: [TarEntry.ExtendedAttribute] = []
    var sparse = SparseAttributes()

    /// The GNU.sparse.* records: format 0.0 and 0.1 carry the map in the header, 1.0 before the content.
    struct SparseAttributes: Equatable {
        var major: Int64?
        var minor: Int64?
        var realSize: Int64?
        var name: [UInt8]?
        var map: [Int64] = []

        var isPresent: Bool { major != nil || minor != nil || !map.isEmpty || realSize != nil }
    }

    /// Reads the records `length key=value\n` of one header into `self`.
    /// - Parameter isGlobal: a header for all members that follow may not name, size or map them.
    mutating func parse(_ records: UnsafeRawBufferPointer, isGlobal: Bool) throws(ArchiveError.Problem) {
        var rest = records
        while !rest.isEmpty {
            let record = try Self.takeRecord(&rest)
            guard let equals = record.firstIndex(of: UInt8(ascii: "=")), equals > 0 else {
                throw .badRecord(reason: "a record has no key")
            }
            let key = UnsafeRawBufferPointer(rebasing: record[..<equals])
            try set(key, to: UnsafeRawBufferPointer(rebasing: record[(equals + 1)...]), isGlobal: isGlobal)
        }
    }

    /// Splits off the first record, without its length and newline.
    private static func takeRecord(
        _ rest: inout UnsafeRawBufferPointer
    ) throws(ArchiveError.Problem) -> UnsafeRawBufferPointer {
        var length = 0
        var index = 0
        while index < rest.count, index < 10, (0x30...0x39).contains(rest[index]) {
            length = length * 10 + Int(rest[index] - 0x30)
            index += 1
        }
        guard index > 0, index < rest.count, rest[index] == 0x20 else {
            throw .badRecord(reason: "a record does not begin with its length")
        }
        guard length > index + 1, length <= rest.count, rest[length - 1] == 0x0A else {
            throw .badRecord(reason: "a record's length does not fit")
        }
        let record = UnsafeRawBufferPointer(rebasing: rest[(index + 1)..<(length - 1)])
        rest = UnsafeRawBufferPointer(rebasing: rest[length...])
        return record
    }

    private mutating func set(
        _ key: UnsafeRawBufferPointer, to value: UnsafeRawBufferPointer, isGlobal: Bool
    ) throws(ArchiveError.Problem) {
        func refuseIfGlobal() throws(ArchiveError.Problem) {
            if isGlobal {
                throw .badRecord(reason: "a global header sets \"\(String(decoding: key, as: UTF8.self))\"")
            }
        }
        switch true {
        case key.is("path"):
            try refuseIfGlobal()
            path = try Self.name(value)
        case key.is("linkpath"):
            try refuseIfGlobal()
            linkTarget = try Self.name(value)
        case key.is("size"):
            try refuseIfGlobal()
            size = try Self.optionalNumber(value, "size")
        case key.is("uid"): uid = try Self.identifier(value, "uid")
        case key.is("gid"): gid = try Self.identifier(value, "gid")
        case key.is("mtime"): try setModified(value)
        case key.starts(with: "SCHILY.xattr."):
            try addAttribute(Array(key.dropFirst(13)), Array(value))
        case key.starts(with: "LIBARCHIVE.xattr."):
            let name = try Self.percentDecoded(key.dropFirst(17))
            guard let content = Base64.decode(value) else {
                throw .badExtendedAttribute(String(decoding: name, as: UTF8.self))
            }
            try addAttribute(name, content)
        case key.starts(with: "GNU.sparse."):
            try refuseIfGlobal()
            try setSparse(key, value)
        default: break
        }
    }

    private mutating func setSparse(
        _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
    ) throws(ArchiveError.Problem) {
        switch true {
        case key.is("GNU.sparse.major"): sparse.major = try Self.number(value, "GNU.sparse.major")
        case key.is("GNU.sparse.minor"): sparse.minor = try Self.number(value, "GNU.sparse.minor")
        case key.is("GNU.sparse.name"): sparse.name = try Self.name(value)
        case key.is("GNU.sparse.realsize"), key.is("GNU.sparse.size"):
            sparse.realSize = try Self.number(value, "GNU.sparse.size")
        case key.is("GNU.sparse.offset"):
            guard sparse.map.count % 2 == 0 else { throw .badSparseMap(reason: "an offset has no length") }
            sparse.map.append(try Self.number(value, "GNU.sparse.offset"))
        case key.is("GNU.sparse.numbytes"):
            guard sparse.map.count % 2 == 1 else { throw .badSparseMap(reason: "a length has no offset") }
            sparse.map.append(try Self.number(value, "GNU.sparse.numbytes"))
        case key.is("GNU.sparse.map"):
            sparse.map = []
            var rest = value
            while !rest.isEmpty {
                let number = UnsafeRawBufferPointer(rebasing: rest.prefix { $0 != UInt8(ascii: ",") })
                sparse.map.append(try Self.number(number, "GNU.sparse.map"))
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(number.count + 1))
            }
        default: break
        }
    }

    /// Decimal seconds with an optional fraction, of which nanoseconds are kept, rounded towards the past.
    private mutating func setModified(_ value: UnsafeRawBufferPointer) throws(ArchiveError.Problem) {
        if value.isEmpty {
            modified = nil
            return
        }
        let isNegative = value.first == UInt8(ascii: "-")
        let digits = UnsafeRawBufferPointer(rebasing: value.dropFirst(isNegative ? 1 : 0))
        let whole = UnsafeRawBufferPointer(rebasing: digits.prefix { $0 != UInt8(ascii: ".") })
        let fraction = digits.dropFirst(whole.count + 1)
        let seconds = try Self.number(whole, "mtime")
        var nanoseconds: UInt32 = 0
        var scale: UInt32 = 100_000_000
        var isCut = false
        for digit in fraction {
            guard (0x30...0x39).contains(digit) else { throw .badNumber(field: "mtime") }
            nanoseconds += UInt32(digit - 0x30) * scale
            isCut = isCut || (scale == 0 && digit != 0x30)
            scale /= 10
        }
        if isNegative, isCut { nanoseconds += 1 }
        if isNegative, nanoseconds > 0 {
            modified = -seconds - 1
            modifiedNanoseconds = 1_000_000_000 - nanoseconds
        } else {
            modified = isNegative ? -seconds : seconds
            modifiedNanoseconds = nanoseconds
        }
    }

    private mutating func addAttribute(_ name: [UInt8], _ value: [UInt8]) throws(ArchiveError.Problem) {
        if let index = extendedAttributes.firstIndex(where: { $0.name == name }) {
            extendedAttributes[index].value = value
        } else {
            guard extendedAttributes.count < ArchiveLimits.extendedAttributeCount else {
                throw .badRecord(reason: "it has more than \(ArchiveLimits.extendedAttributeCount) extended attributes")
            }
            extendedAttributes.append(TarEntry.ExtendedAttribute(name: name, value: value))
        }
    }

    // MARK: Values

    /// A name; an empty value takes an earlier one back.
    private static func name(_ value: UnsafeRawBufferPointer) throws(ArchiveError.Problem) -> [UInt8]? {
        if value.contains(0) { throw .nulInName }
        return value.isEmpty ? nil : Array(value)
    }

    private static func number(
        _ value: UnsafeRawBufferPointer, _ field: String
    ) throws(ArchiveError.Problem) -> Int64 {
        guard !value.isEmpty else { throw .badNumber(field: field) }
        var result: Int64 = 0
        for digit in value {
            let (shifted, overflow) = result.multipliedReportingOverflow(by: 10)
            let (sum, carry) = shifted.addingReportingOverflow(Int64(digit) - 0x30)
            guard (0x30...0x39).contains(digit), !overflow, !carry else { throw .badNumber(field: field) }
            result = sum
        }
        return result
    }

    private static func optionalNumber(
        _ value: UnsafeRawBufferPointer, _ field: String
    ) throws(ArchiveError.Problem) -> Int64? {
        value.isEmpty ? nil : try number(value, field)
    }

    private static func identifier(
        _ value: UnsafeRawBufferPointer, _ field: String
    ) throws(ArchiveError.Problem) -> UInt32? {
        guard let number = try optionalNumber(value, field) else { return nil }
        guard let identifier = UInt32(exactly: number), identifier != .max else { throw .badNumber(field: field) }
        return identifier
    }

    /// libarchive writes attribute names with %XX for bytes that a pax key cannot hold.
    private static func percentDecoded(_ text: Slice<UnsafeRawBufferPointer>) throws(ArchiveError.Problem) -> [UInt8] {
        var result: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                result.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else {
                throw .badExtendedAttribute(String(decoding: text, as: UTF8.self))
            }
            result.append(high << 4 | low)
        }
        return result
    }

    private static func hexValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 0x41 + 10
        case 0x61...0x66: digit - 0x61 + 10
        default: nil
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func `is`(_ text: StaticString) -> Bool { count == text.utf8CodeUnitCount && starts(with: text) }

    fileprivate func starts(with text: StaticString) -> Bool {
        guard count >= text.utf8CodeUnitCount else { return false }
        for index in 0..<text.utf8CodeUnitCount where self[index] != text.utf8Start[index] { return false }
        return true
    }
}
