/// A parser of untrusted input that may be given any bytes. It must come back, whatever they are: a trap, a hang or a
/// broken promise is a bug.
struct FuzzTarget: Sendable {
    /// The name that `scripts/fuzz` takes and that the folder of seeds has.
    let name: String
    /// Parses the bytes and holds the result against what the parser promises.
    let run: @Sendable (_ bytes: [UInt8]) throws(FuzzFinding) -> Void
}

/// A promise that a parser broke, such as a document that reads differently after it was written back.
struct FuzzFinding: Error, CustomStringConvertible {
    let description: String
}

/// Objects unless the promise is kept.
func promise(_ isKept: Bool, _ broken: @autoclosure () -> String) throws(FuzzFinding) {
    if !isKept { throw FuzzFinding(description: broken()) }
}

extension [UInt8] {
    var text: String { String(decoding: self, as: UTF8.self) }

    /// The bytes in pieces whose sizes follow from the bytes themselves, so that a finding can be had again.
    var pieces: [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var state = UInt64(count) | 1
        var rest = self[...]
        while !rest.isEmpty {
            state = state &* 6_364_136_223_846_793_005 &+ UInt64(rest[rest.startIndex])
            let size = 1 + Int(state >> 33) % (state & 0x100 == 0 ? 7 : 700)
            pieces.append(rest.prefix(size))
            rest = rest.dropFirst(size)
        }
        return pieces
    }

    /// The parts between zero bytes, for targets that need more than one text.
    func parts(_ count: Int) -> [String] {
        let parts = split(separator: 0, maxSplits: count - 1, omittingEmptySubsequences: false)
        return (0..<count).map { $0 < parts.count ? String(decoding: parts[$0], as: UTF8.self) : "" }
    }
}
