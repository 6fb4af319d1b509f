import Foundation
import Testing

/// Every fuzz target over its seeds and a few thousand broken forms of them: the part of fuzzing that fits into each
/// run of the tests. `scripts/fuzz` does the rest, with coverage to guide it.
@Suite("Fuzz targets")
struct FuzzTests {
    static let targets =
        FuzzTarget.spec + FuzzTarget.store + FuzzTarget.container + FuzzTarget.serving + FuzzTarget.gateway
        + FuzzTarget.registry + FuzzTarget.trust
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Corpus")

    private static func seeds(of target: FuzzTarget) throws -> [[UInt8]] {
        let folder = corpus.appending(path: target.name)
        return try FileManager.default.contentsOfDirectory(atPath: folder.path()).sorted().map {
            Array(try Data(contentsOf: folder.appending(path: $0)))
        }
    }

    @Test("no broken input makes a parser trap, hang or break its word", arguments: targets)
    func mutations(of target: FuzzTarget) throws {
        let seeds = try Self.seeds(of: target)
        try #require(!seeds.isEmpty, "Corpus/\(target.name) is empty")
        for seed in seeds { try target.run(seed) }
        var mutator = Mutator(seed: 1)
        // Building a layer writes a file each time.
        for round in 0..<(target.name == "layer" ? 300 : 3000) {
            let input = mutator.mutation(of: seeds)
            #expect(throws: Never.self, "round \(round): \(Data(input).base64EncodedString())") {
                try target.run(input)
            }
        }
    }

    @Test("every folder of seeds belongs to a target")
    func corpusIsKnown() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.corpus.path())
        #expect(Set(folders) == Set(Self.targets.map(\.name)))
    }
}

extension FuzzTarget: CustomTestStringConvertible {
    var testDescription: String { name }
}
