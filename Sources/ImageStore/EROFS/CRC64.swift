#if canImport(CLibisal)
    internal import CLibisal
#endif

/// The checksum CRC-64/XZ (ECMA-182's polynomial, reflected), taken piece by piece: ten times as fast as a digest, and
/// enough where nobody means harm.
struct CRC64: Equatable {
    private(set) var value: UInt64 = 0

    init() {}

    init(of bytes: UnsafeRawBufferPointer) { update(bytes) }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        #if canImport(CLibisal)
            guard let start = bytes.baseAddress else { return }
            value = crc64_ecma_refl(value, start.assumingMemoryBound(to: UInt8.self), UInt64(bytes.count))
        #else
            updateByTable(bytes)
        #endif
    }

    /// The same without ISA-L.
    mutating func updateByTable(_ bytes: UnsafeRawBufferPointer) {
        value = ~Self.tables.withUnsafeBufferPointer { tables in
            var value = ~value
            var offset = 0
            while bytes.count - offset >= 8 {
                value ^= UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                var next: UInt64 = 0
                for place in 0..<8 {
                    next ^= tables[(7 - place) << 8 | Int(truncatingIfNeeded: value >> UInt64(8 * place)) & 0xFF]
                }
                value = next
                offset += 8
            }
            while offset < bytes.count {
                value = value >> 8 ^ tables[Int(truncatingIfNeeded: value ^ UInt64(bytes[offset])) & 0xFF]
                offset += 1
            }
            return value
        }
    }

    /// Eight tables of 256: what a byte does to the checksum at the end of a word, one byte before that, and so on.
    private static let tables: [UInt64] = {
        var tables = [UInt64](repeating: 0, count: 8 << 8)
        for byte in 0..<256 {
            var value = UInt64(byte)
            for _ in 0..<8 { value = value >> 1 ^ (value & 1 == 0 ? 0 : 0xC96C_5795_D787_0F42) }
            tables[byte] = value
        }
        for index in 256..<tables.count {
            let value = tables[index - 256]
            tables[index] = value >> 8 ^ tables[Int(truncatingIfNeeded: value) & 0xFF]
        }
        return tables
    }()
}
