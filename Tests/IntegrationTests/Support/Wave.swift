import Glibc
import LinuxSystem

/// Sound at 16 kHz, one channel, 16 bit.
struct Wave {
    static let rate = 16000
    var samples: [Int16]

    /// As a RIFF file.
    var file: [UInt8] {
        var bytes: [UInt8] = []
        func put(_ text: String) { bytes += Array(text.utf8) }
        func put<Number: FixedWidthInteger>(_ number: Number) {
            withUnsafeBytes(of: number.littleEndian) { bytes += Array($0) }
        }
        put("RIFF")
        put(UInt32(36 + samples.count * 2))
        put("WAVEfmt ")
        put(UInt32(16))
        put(UInt16(1))
        put(UInt16(1))
        put(UInt32(Self.rate))
        put(UInt32(Self.rate * 2))
        put(UInt16(2))
        put(UInt16(16))
        put("data")
        put(UInt32(samples.count * 2))
        for sample in samples { put(sample) }
        return bytes
    }

    /// Three seconds: silence, a chord that swells, noise; the same each time.
    static func tonesAndNoise() -> Wave {
        var random: UInt64 = 0x9E37_79B9_7F4A_7C15
        return Wave(
            samples: (0..<(3 * rate)).map { index in
                let time = Double(index) / Double(rate)
                switch Int(time) {
                case 0: return 0
                case 1:
                    let chord =
                        sin(time * 2 * .pi * 220) + sin(time * 2 * .pi * 440) / 2 + sin(time * 2 * .pi * 1330) / 3
                    return Int16(chord * (time - 1) * 12000)
                default:
                    random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return Int16(truncatingIfNeeded: Int64(random >> 50) - 8192)
                }
            })
    }

    /// A sentence by espeak-ng between two half seconds of silence.
    static func spoken(in directory: TestDirectory) throws -> Wave {
        let path = "\(directory.path)/spoken.wav"
        try Program.succeed("espeak-ng", "-w", path, "The same model runs the same everywhere.")
        let bytes = try File.read(path)
        func number(at offset: Int, bytes count: Int) -> Int {
            (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
        }
        let sourceRate = number(at: 24, bytes: 4)
        let source = stride(from: 44, to: bytes.count - 1, by: 2).map {
            Double(Int16(truncatingIfNeeded: number(at: $0, bytes: 2)))
        }
        let resampled = (0..<(source.count * rate / sourceRate)).map { index -> Int16 in
            let position = Double(index) * Double(sourceRate) / Double(rate)
            let left = min(Int(position), source.count - 1)
            let right = min(left + 1, source.count - 1)
            return Int16(source[left] + (source[right] - source[left]) * (position - Double(left)))
        }
        let silence = [Int16](repeating: 0, count: rate / 2)
        return Wave(samples: silence + resampled + silence)
    }
}
