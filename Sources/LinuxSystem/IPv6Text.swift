internal import CLinux

/// IPv6 addresses as people write them.
public enum IPv6Text {
    /// The form of RFC 5952, such as `2001:db8::1`; nil for what is no address, or one with a zone.
    public static func canonical(_ text: String) -> String? {
        if text.utf8.contains(0) { return nil }
        var buffer = [CChar](repeating: 0, count: 64)
        guard mlr_canonical_ipv6(text, &buffer, buffer.count) == 0 else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
