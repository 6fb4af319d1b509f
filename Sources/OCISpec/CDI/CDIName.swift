/// The name that a device is asked for by in the Container Device Interface: `vendor.com/class=device`.
public struct CDIName: Sendable, Hashable, CustomStringConvertible {
    /// Vendor and class, such as `nvidia.com/gpu`.
    public let kind: String
    /// Such as `0`, `all` or `GPU-…`.
    public let device: String

    init(kind: String, device: String) {
        self.kind = kind
        self.device = device
    }

    /// Nil for a text that is no such name, as a path of a device node is none.
    public init?(_ text: String) {
        guard let sign = text.firstIndex(of: "=") else { return nil }
        let kind = String(text[..<sign])
        let device = String(text[text.index(after: sign)...])
        guard Self.kindProblem(kind) == nil, Self.deviceProblem(device) == nil else { return nil }
        self.init(kind: kind, device: device)
    }

    public var description: String { "\(kind)=\(device)" }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte & 0xDF) }
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func problem(_ text: String, _ what: String, extra: String, startsWithDigit: Bool) -> String? {
        guard let first = text.utf8.first, let last = text.utf8.last else { return "the \(what) is empty" }
        guard isLetter(first) || (startsWithDigit && isDigit(first)) else {
            return "the \(what) \"\(text)\" does not begin with a letter\(startsWithDigit ? " or digit" : "")"
        }
        guard text.utf8.allSatisfy({ isLetter($0) || isDigit($0) || extra.utf8.contains($0) }) else {
            return "the \(what) \"\(text)\" has other characters than letters, digits and \(extra)"
        }
        return isLetter(last) || isDigit(last) ? nil : "the \(what) \"\(text)\" does not end with a letter or digit"
    }

    static func kindProblem(_ kind: String) -> String? {
        let parts = kind.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else { return "\"\(kind)\" is not of the form vendor/class" }
        return problem(parts[0], "vendor", extra: "_-.", startsWithDigit: false)
            ?? problem(parts[1], "class", extra: "_-.", startsWithDigit: false)
    }

    static func deviceProblem(_ name: String) -> String? {
        problem(name, "device", extra: "_-.:", startsWithDigit: true)
    }
}
