import Testing

@testable import ImageStore

@Suite("archives with random damage")
struct MutationTests {
    /// A generator with a seed, so that a failure can be repeated.
    struct Generator: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = state
            value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
            return value ^ value >> 31
        }
    }

    private static let seeds: [[UInt8]] =
        SparseArchive.Format.allCases.map(SparseArchive.make) + [
            CraftedTar.archive { tar in
                tar.add(directory: "d/")
                tar.add(pax: [("path", "d/long"), ("SCHILY.xattr.user.k", "v"), ("mtime", "1.5"), ("size", "3")])
                tar.add(CraftedTar.Header("x"), content: [1, 2, 3])
                tar.add(link: "d/l", to: "../d", type: "2")
                tar.add(link: "h", to: "d/long", type: "1")
                tar.add(file: "d/l/d/.wh.gone")
                tar.add(file: ".wh..wh..opq")
            },
            CraftedTar.archive { tar in
                tar.add(CraftedTar.Header("././@LongLink", type: "L"), content: Array("some/long/name\u{0}".utf8))
                tar.add(file: "cut", String(repeating: "x", count: 5000))
                tar.add(pax: [("comment", "global")], type: "g")
                tar.add(TarFifo.header)
            },
        ]

    private enum TarFifo {
        static var header: CraftedTar.Header { CraftedTar.Header("fifo", type: "6") }
    }

    /// Changes a few bytes, and makes the checksums of headers right again most of the time.
    private static func mutate(_ archive: [UInt8], _ random: inout Generator) -> [UInt8] {
        var result = archive
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let index = Int.random(in: 0..<result.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: result[index] = UInt8.random(in: 0...255, using: &random)
            case 1: result[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 2:
                result[index] =
                    [0x30, 0x39, 0x20, 0x3D, 0x0A, 0x80, 0xFF, 0x2F, 0x2E].randomElement(using: &random) ?? 0
            case 3 where result.count >= 512:
                let block = min(index / 512, result.count / 512 - 1) * 512
                let other = Int.random(in: 0..<(result.count / 512), using: &random) * 512
                result.replaceSubrange(block..<(block + 512), with: Array(result[other..<(other + 512)]))
            case 4: result.removeLast(min(result.count - 1, Int.random(in: 0...600, using: &random)))
            default:
                // The fields where a header says what follows it.
                let field = [124, 135, 156, 157, 345, 386, 398, 482, 483].randomElement(using: &random) ?? 0
                let position = index / 512 * 512 + field
                if position < result.count { result[position] = UInt8.random(in: 0...255, using: &random) }
            }
        }
        if Int.random(in: 0..<8, using: &random) > 0 { repairChecksums(&result) }
        return result
    }

    private static func repairChecksums(_ archive: inout [UInt8]) {
        for block in stride(from: 0, to: archive.count - 511, by: 512)
        where archive[(block + 257)..<(block + 262)].elementsEqual("ustar".utf8) {
            for index in 148..<156 { archive[block + index] = 0x20 }
            let sum = archive[block..<(block + 512)].reduce(0) { $0 + Int($1) }
            archive.replaceSubrange((block + 148)..<(block + 155), with: CraftedTar.octal(sum, width: 7) + [0])
        }
    }

    @Test("are read or refused, never a crash, the same whatever the pieces", arguments: 0..<6)
    func parser(seed: Int) throws {
        var random = Generator(state: UInt64(seed))
        for round in 0..<700 {
            let damaged = Self.mutate(Self.seeds[seed % Self.seeds.count], &random)
            let whole = Result { () throws(ArchiveError) in try ParsedArchive(damaged) }
            let pieces = Result { () throws(ArchiveError) in
                try ParsedArchive(damaged, pieces: 1 + round % 700)
            }
            #expect(whole == pieces, "seed \(seed), round \(round)")
        }
    }

    @Test("become images that fsck.erofs accepts and the kernel can list, or none", arguments: 0..<6)
    func images(seed: Int) throws {
        var random = Generator(state: UInt64(100 + seed))
        let scratch = try ScratchImage()
        var built = 0
        for round in 0..<60 {
            let damaged = Self.mutate(Self.seeds[seed % Self.seeds.count], &random)
            guard try scratch.build(damaged, sparseLimit: 8 << 20) == nil else { continue }
            built += 1
            if round % 20 == 0 { try ErofsImageTests.check(scratch.path) }
            if MountedImage.isPossible { _ = try MountedImage(scratch.path).listing() }
        }
        #expect(built > 0)
    }
}
