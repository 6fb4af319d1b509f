/// What a registry demands with a 401: one challenge of a `WWW-Authenticate` header (RFC 9110, section 11.6.1).
struct AuthenticationChallenge: Sendable, Equatable {
    /// Lower case: `bearer`, `basic`, …
    let scheme: String
    /// Names in lower case.
    let parameters: [String: String]

    /// All challenges of all `WWW-Authenticate` headers, in order. What follows a syntax error in a header is dropped.
    static func parse(_ headers: [String]) -> [AuthenticationChallenge] { headers.flatMap(parse) }

    private static func parse(_ header: String) -> [AuthenticationChallenge] {
        var scanner = Scanner(header)
        var challenges: [AuthenticationChallenge] = []
        scanner.skip { $0 == .space || $0 == .comma }
        while let scheme = scanner.token() {
            var parameters: [String: String] = [:]
            while true {
                scanner.skip { $0 == .space || $0 == .comma }
                let start = scanner
                // A token without '=' begins the next challenge.
                guard let name = scanner.token(), scanner.take(.equals) else {
                    scanner = start
                    break
                }
                guard let value = scanner.quotedString() ?? scanner.token() else {
                    return challenges + [AuthenticationChallenge(scheme: scheme.lowercased(), parameters: parameters)]
                }
                parameters[name.lowercased()] = value
            }
            challenges.append(AuthenticationChallenge(scheme: scheme.lowercased(), parameters: parameters))
        }
        return challenges
    }
}

private struct Scanner {
    private var rest: ArraySlice<UInt8>

    init(_ text: String) { rest = ArraySlice(text.utf8) }

    mutating func skip(_ isSkipped: (UInt8) -> Bool) { rest = rest.drop(while: isSkipped) }

    mutating func take(_ byte: UInt8) -> Bool {
        guard rest.first == byte else { return false }
        rest.removeFirst()
        return true
    }

    mutating func token() -> String? {
        let token = rest.prefix { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: "!#$%&'*+-.^_`|~/:".utf8.contains(byte)
            }
        }
        guard !token.isEmpty else { return nil }
        rest = rest[token.endIndex...]
        return String(decoding: token, as: UTF8.self)
    }

    mutating func quotedString() -> String? {
        var copy = self
        guard copy.take(.quote) else { return nil }
        var bytes: [UInt8] = []
        while let byte = copy.rest.popFirst() {
            switch byte {
            case .quote:
                self = copy
                return String(decoding: bytes, as: UTF8.self)
            case .backslash:
                guard let escaped = copy.rest.popFirst() else { return nil }
                bytes.append(escaped)
            default: bytes.append(byte)
            }
        }
        return nil
    }
}

extension UInt8 {
    fileprivate static let space = UInt8(ascii: " ")
    fileprivate static let comma = UInt8(ascii: ",")
    fileprivate static let equals = UInt8(ascii: "=")
    fileprivate static let quote = UInt8(ascii: "\"")
    fileprivate static let backslash = UInt8(ascii: "\\")
}
