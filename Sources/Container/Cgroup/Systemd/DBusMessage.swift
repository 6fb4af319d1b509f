/// A message of D-Bus (the specification's "Message Format").
struct DBusMessage: Sendable, Equatable {
    enum Kind: UInt8, Sendable {
        case call = 1
        case reply, error, signal
    }

    var kind: Kind
    var serial: UInt32
    var path: String?
    var interface: String?
    var member: String?
    var errorName: String?
    var replySerial: UInt32?
    var destination: String?
    var sender: String?
    var body: [DBusValue] = []

    init(_ kind: Kind, serial: UInt32) {
        self.kind = kind
        self.serial = serial
    }

    /// The longest message that the specification allows; a message of systemd about a unit has a few kilobytes.
    static let longest = 128 << 20

    // MARK: Writing

    /// In little-endian form.
    var bytes: [UInt8] {
        var content = DBusWriter()
        for value in body { content.write(value) }
        var writer = DBusWriter()
        for byte in [UInt8(ascii: "l"), kind.rawValue, 0, 1] { writer.write(.byte(byte)) }
        writer.write(.uint32(UInt32(content.bytes.count)))
        writer.write(.uint32(serial))
        var fields: [DBusValue] = []
        func add(_ code: UInt8, _ value: DBusValue?) {
            if let value { fields.append(.structure([.byte(code), .variant(value)])) }
        }
        add(1, path.map { .objectPath($0) })
        add(2, interface.map { .string($0) })
        add(3, member.map { .string($0) })
        add(4, errorName.map { .string($0) })
        add(5, replySerial.map { .uint32($0) })
        add(6, destination.map { .string($0) })
        add(7, sender.map { .string($0) })
        add(8, body.isEmpty ? nil : .signature(body.map(\.signature).joined()))
        writer.write(.array(of: "(yv)", fields))
        writer.align(8)
        return writer.bytes + content.bytes
    }

    // MARK: Reading

    /// How many bytes the message at the beginning has; nil while its first 16 are not there.
    static func length(_ bytes: ArraySlice<UInt8>) throws(DBusError) -> Int? {
        guard bytes.count >= 16 else { return nil }
        var reader = try DBusReader(header: bytes)
        reader.position = 4
        let body = Int(try reader.uint32())
        reader.position = 12
        let fields = Int(try reader.uint32())
        guard body <= longest, fields <= 64 << 20 else { throw DBusError("a message that is too long") }
        return (16 + fields + 7) / 8 * 8 + body
    }

    /// Reads one message that is complete.
    init(_ bytes: [UInt8]) throws(DBusError) {
        guard let length = try Self.length(bytes[...]), length == bytes.count else {
            throw DBusError("a message of another length than it says")
        }
        var reader = try DBusReader(header: bytes[...])
        reader.position = 1
        guard let kind = Kind(rawValue: try reader.byte()) else { throw DBusError("a message of an unknown kind") }
        reader.position = 3
        guard try reader.byte() == 1 else { throw DBusError("a message of another version of the protocol") }
        let bodyLength = Int(try reader.uint32())
        self.init(kind, serial: try reader.uint32())
        guard case .array(_, let fields) = try reader.value("a(yv)") else { throw DBusError("no header fields") }
        var signature = ""
        for field in fields {
            guard case .structure(let parts) = field, case .byte(let code) = parts[0],
                case .variant(let value) = parts[1]
            else { throw DBusError("a malformed header field") }
            switch (code, value) {
            case (1, .objectPath(let text)): path = text
            case (2, .string(let text)): interface = text
            case (3, .string(let text)): member = text
            case (4, .string(let text)): errorName = text
            case (5, .uint32(let number)): replySerial = number
            case (6, .string(let text)): destination = text
            case (7, .string(let text)): sender = text
            case (8, .signature(let text)): signature = text
            case (1...8, _): throw DBusError("a header field of the wrong type")
            // Fields of later versions are to be passed over.
            default: break
            }
        }
        reader.position = bytes.count - bodyLength
        reader.start = reader.position
        for type in try DBusSignature.types(signature) { body.append(try reader.value(type)) }
        guard reader.position == bytes.count else { throw DBusError("bytes after the body") }
    }
}

/// Writes values in little-endian form, each at its alignment.
struct DBusWriter {
    private(set) var bytes: [UInt8] = []

    mutating func align(_ boundary: Int) {
        while bytes.count % boundary != 0 { bytes.append(0) }
    }

    private mutating func number<Number: FixedWidthInteger>(_ value: Number) {
        align(MemoryLayout<Number>.size)
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private mutating func text(_ text: String) {
        number(UInt32(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
        bytes.append(0)
    }

    private mutating func signature(_ text: String) {
        bytes.append(UInt8(truncatingIfNeeded: text.utf8.count))
        bytes.append(contentsOf: text.utf8)
        bytes.append(0)
    }

    mutating func write(_ value: DBusValue) {
        switch value {
        case .byte(let value): bytes.append(value)
        case .bool(let value): number(UInt32(value ? 1 : 0))
        case .int16(let value): number(value)
        case .uint16(let value): number(value)
        case .int32(let value): number(value)
        case .uint32(let value): number(value)
        case .int64(let value): number(value)
        case .uint64(let value): number(value)
        case .double(let value): number(value.bitPattern)
        case .string(let value), .objectPath(let value): text(value)
        case .signature(let value): signature(value)
        case .variant(let value):
            signature(value.signature)
            write(value)
        case .structure(let members):
            align(8)
            for member in members { write(member) }
        case .entry(let key, let value):
            align(8)
            write(key)
            write(value)
        case .array(let element, let values):
            number(UInt32(0))
            let place = bytes.count - 4
            align(DBusSignature.alignment(element))
            let start = bytes.count
            for value in values { write(value) }
            withUnsafeBytes(of: UInt32(bytes.count - start).littleEndian) {
                bytes.replaceSubrange(place..<place + 4, with: $0)
            }
        }
    }
}

/// Reads values of either byte order. Every length is held against what is there.
struct DBusReader {
    private let bytes: [UInt8]
    private let isBig: Bool
    /// Alignment counts from here.
    var start = 0
    var position = 0
    private var depth = 0

    init(header: ArraySlice<UInt8>) throws(DBusError) {
        bytes = Array(header)
        switch bytes.first {
        case UInt8(ascii: "l"): isBig = false
        case UInt8(ascii: "B"): isBig = true
        default: throw DBusError("a message without a byte order")
        }
    }

    private mutating func align(_ boundary: Int) throws(DBusError) {
        while (position - start) % boundary != 0 {
            guard position < bytes.count, bytes[position] == 0 else { throw DBusError("padding that is not zero") }
            position += 1
        }
    }

    mutating func byte() throws(DBusError) -> UInt8 {
        guard position < bytes.count else { throw DBusError("a message that is cut off") }
        position += 1
        return bytes[position - 1]
    }

    private mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) throws(DBusError) -> Number {
        let size = MemoryLayout<Number>.size
        try align(size)
        guard bytes.count - position >= size else { throw DBusError("a message that is cut off") }
        var value: Number = 0
        withUnsafeMutableBytes(of: &value) { $0.copyBytes(from: bytes[position..<position + size]) }
        position += size
        return isBig ? Number(bigEndian: value) : Number(littleEndian: value)
    }

    mutating func uint32() throws(DBusError) -> UInt32 { try number(UInt32.self) }

    private mutating func text(_ length: Int) throws(DBusError) -> String {
        guard length >= 0, bytes.count - position > length, bytes[position + length] == 0 else {
            throw DBusError("a text that is cut off")
        }
        let content = bytes[position..<position + length]
        position += length + 1
        guard !content.contains(0), let text = String(validating: content, as: UTF8.self) else {
            throw DBusError("a text that is not UTF-8")
        }
        return text
    }

    mutating func value(_ type: String) throws(DBusError) -> DBusValue {
        depth += 1
        defer { depth -= 1 }
        guard depth <= 64 else { throw DBusError("a value nested too deep") }
        switch type.utf8.first {
        case UInt8(ascii: "y"): return .byte(try byte())
        case UInt8(ascii: "b"):
            let number = try uint32()
            guard number <= 1 else { throw DBusError("a truth value of \(number)") }
            return .bool(number == 1)
        case UInt8(ascii: "n"): return .int16(try number(Int16.self))
        case UInt8(ascii: "q"): return .uint16(try number(UInt16.self))
        case UInt8(ascii: "i"): return .int32(try number(Int32.self))
        // A descriptor is an index, of which none is ever asked for.
        case UInt8(ascii: "u"), UInt8(ascii: "h"): return .uint32(try uint32())
        case UInt8(ascii: "x"): return .int64(try number(Int64.self))
        case UInt8(ascii: "t"): return .uint64(try number(UInt64.self))
        case UInt8(ascii: "d"): return .double(Double(bitPattern: try number(UInt64.self)))
        case UInt8(ascii: "s"): return .string(try text(Int(try uint32())))
        case UInt8(ascii: "o"): return .objectPath(try text(Int(try uint32())))
        case UInt8(ascii: "g"): return .signature(try text(Int(try byte())))
        case UInt8(ascii: "v"):
            let types = try DBusSignature.types(try text(Int(try byte())))
            guard types.count == 1 else { throw DBusError("a variant of \(types.count) values") }
            return .variant(try value(types[0]))
        case UInt8(ascii: "("):
            try align(8)
            var members: [DBusValue] = []
            for member in try DBusSignature.types(String(type.dropFirst().dropLast())) {
                members.append(try value(member))
            }
            return .structure(members)
        case UInt8(ascii: "{"):
            try align(8)
            let types = try DBusSignature.types(String(type.dropFirst().dropLast()))
            guard types.count == 2 else { throw DBusError("an entry of \(types.count) values") }
            return .entry(try value(types[0]), try value(types[1]))
        case UInt8(ascii: "a"): return try array(of: String(type.dropFirst()))
        default: throw DBusError("the unknown type \"\(type)\"")
        }
    }

    private mutating func array(of element: String) throws(DBusError) -> DBusValue {
        let length = Int(try uint32())
        try align(DBusSignature.alignment(element))
        guard length <= 64 << 20, bytes.count - position >= length else { throw DBusError("an array that is cut off") }
        let end = position + length
        var values: [DBusValue] = []
        while position < end { values.append(try value(element)) }
        guard position == end else { throw DBusError("an array of another length than it says") }
        return .array(of: element, values)
    }
}
