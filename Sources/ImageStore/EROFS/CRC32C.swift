/// The Castagnoli checksum (RFC 3720 appendix B.4) in the form EROFS stores it: begun with all bits set, not inverted
/// at the end.
enum CRC32C {
    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var value = UInt32.max
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value >> 1 ^ (value & 1 == 0 ? 0 : 0x82F6_3B78) }
        }
        return value
    }
}
