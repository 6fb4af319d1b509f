internal import Glibc

/// An IP address as its bytes: 4, or 16. One of version 4 in the clothes of version 6 (`::ffff:10.0.0.1`) is taken as
/// what it is.
struct IPAddress: Sendable, Hashable {
    let bytes: [UInt8]

    private init(bytes: [UInt8]) {
        let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]
        self.bytes = bytes.count == 16 && bytes.starts(with: mapped) ? Array(bytes.suffix(4)) : bytes
    }

    /// Only the usual notation.
    init?(_ text: String) {
        var four = in_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self.init(bytes: withUnsafeBytes(of: four) { Array($0) })
            return
        }
        var six = in6_addr()
        guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        self.init(bytes: withUnsafeBytes(of: six) { Array($0) })
    }

    /// Whatever the resolver takes for an address without asking anybody: `127.1`, `0x7f000001`, `2130706433` too.
    init?(resolvable text: String) {
        if let usual = IPAddress(text) {
            self = usual
            return
        }
        var four = in_addr()
        guard inet_aton(text, &four) != 0 else { return nil }
        self.init(bytes: withUnsafeBytes(of: four) { Array($0) })
    }

    var isLoopback: Bool { bytes.count == 4 ? bytes[0] == 127 : bytes == [UInt8](repeating: 0, count: 15) + [1] }

    /// 169.254.0.0/16 with the metadata services of clouds, and fe80::/10.
    var isLinkLocal: Bool {
        bytes.count == 4 ? bytes[0] == 169 && bytes[1] == 254 : bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80
    }

    /// 0.0.0.0/8 and ::, by which one reaches this machine too.
    var isUnspecified: Bool { bytes.count == 4 ? bytes[0] == 0 : bytes.allSatisfy { $0 == 0 } }

    /// Whether both begin with the same `length` bits.
    func hasPrefix(_ other: IPAddress, _ length: Int) -> Bool {
        guard bytes.count == other.bytes.count, length <= bytes.count * 8 else { return false }
        return (0..<length).allSatisfy { bit in
            (bytes[bit / 8] ^ other.bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
        }
    }
}

extension WebAddress {
    /// Whether this leads to this machine, its link or its cloud's metadata service, whatever way it is written.
    var isInternal: Bool {
        let name = host.hasSuffix(".") ? String(host.dropLast()) : host
        if name == "localhost" || name.hasSuffix(".localhost") || name == "metadata.google.internal" { return true }
        guard let address = IPAddress(resolvable: name) else { return false }
        return address.isLoopback || address.isLinkLocal || address.isUnspecified
    }
}
