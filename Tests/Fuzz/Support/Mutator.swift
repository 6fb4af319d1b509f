/// Makes broken documents of good ones: the same ones for the same number to begin with.
struct Mutator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// Texts on which parsers stumble: extremes, openings without an end, ends of other formats' lines.
    private static let words: [[UInt8]] = [
        "-1", "0", "9223372036854775807", "-9223372036854775808", "18446744073709551616", "4294967295", "1e308",
        "1e-400", "0.5", "null", "\"\"", "{}", "[]", "[[[[[[[[", "\\u0000", "\\ud800", "\u{FEFF}", "é", "\r\n",
        "\r\n\r\n",
        ":", "=", "../", "/", "@sha256:", "ffffffffffffffff", "77777777777", " ", "\t", "%00", "~",
    ].map { Array($0.utf8) }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }

    /// One of the seeds with a few changes.
    mutating func mutation(of seeds: [[UInt8]]) -> [UInt8] {
        var bytes = seeds.randomElement(using: &self) ?? []
        for _ in 0..<Int.random(in: 1...4, using: &self) { change(&bytes, seeds) }
        return bytes
    }

    private mutating func change(_ bytes: inout [UInt8], _ seeds: [[UInt8]]) {
        let place = Int.random(in: 0...bytes.count, using: &self)
        let length = Int.random(in: 0...min(bytes.count - place, 40), using: &self)
        let range = place..<(place + length)
        switch Int.random(in: 0..<8, using: &self) {
        case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &self)
        case 1 where place < bytes.count: bytes[place] = .random(in: 0...255, using: &self)
        case 2: bytes.removeSubrange(range)
        case 3: bytes.insert(contentsOf: bytes[range], at: place)
        case 4: bytes.insert(contentsOf: Self.words.randomElement(using: &self) ?? [], at: place)
        case 5:
            bytes.replaceSubrange(digits(around: place, in: bytes), with: Self.words.randomElement(using: &self) ?? [])
        case 6: bytes.removeSubrange(place...)
        default:
            let other = seeds.randomElement(using: &self) ?? []
            let start = Int.random(in: 0...other.count, using: &self)
            bytes.replaceSubrange(place..., with: other[start...])
        }
    }

    /// The number at or after a place; a number is what most limits are about.
    private func digits(around place: Int, in bytes: [UInt8]) -> Range<Int> {
        func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        guard let first = bytes[place...].firstIndex(where: isDigit) else { return place..<place }
        return first..<(bytes[first...].firstIndex { !isDigit($0) } ?? bytes.count)
    }
}
