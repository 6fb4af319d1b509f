import Testing

@testable import Serving

@Suite("cutting output into log records")
struct LineSplitterTests {
    private func split(_ text: String, atEnd: Bool = false) -> [(String, Bool)] {
        let bytes = Array(text.utf8)
        return bytes.withUnsafeBytes { raw in
            LineSplitter.pieces(of: raw, atEnd: atEnd).map {
                (String(decoding: raw[$0.range], as: UTF8.self), $0.isPartial)
            }
        }
    }

    @Test("lines come without their line feed, and an unfinished line waits")
    func lines() {
        let pieces = split("one\n\nthree\nunfini")
        #expect(pieces.map(\.0) == ["one", "", "three"])
        #expect(pieces.allSatisfy { !$0.1 })
    }

    @Test("at the end of the output an unfinished line is a line")
    func lastLine() {
        #expect(split("one\nlast", atEnd: true).map(\.0) == ["one", "last"])
        #expect(split("one\n", atEnd: true).map(\.0) == ["one"])
    }

    @Test("a line that is too long becomes pieces whose joint content is the line")
    func longLines() {
        let line = String(repeating: "x", count: 40_000)
        let pieces = split(line + "\n")
        #expect(pieces.map(\.1) == [true, true, false])
        #expect(pieces.map(\.0).joined() == line)
        #expect(pieces.allSatisfy { $0.0.utf8.count <= LineSplitter.longestPiece })
    }

    @Test("a line of exactly the longest length is one whole record")
    func exactLength() {
        let line = String(repeating: "x", count: LineSplitter.longestPiece)
        let pieces = split(line + "\n")
        #expect(pieces.count == 1 && pieces[0].0 == line && !pieces[0].1)
    }

    @Test("a piece never ends within a character")
    func characters() {
        let line = "a" + String(repeating: "€", count: 12_000)
        let pieces = split(line + "\n")
        #expect(pieces.count > 1)
        #expect(pieces.map(\.0).joined() == line)
        #expect(!pieces.contains { $0.0.contains("\u{FFFD}") })
    }
}
