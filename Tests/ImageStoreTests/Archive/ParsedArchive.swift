@testable import ImageStore

/// All members of an archive with their expanded content, as ``TarParser`` gives them.
struct ParsedArchive: Equatable {
    struct Member: Equatable {
        var entry: TarEntry
        var content: [UInt8]
    }

    var members: [Member] = []

    /// More of a member is not kept.
    private static let contentLimit: Int64 = 64 << 10

    /// Feeds the parser with pieces of this many bytes.
    init(_ archive: [UInt8], pieces: Int = .max, limits: ArchiveLimits = ArchiveLimits()) throws(ArchiveError) {
        let parser = TarParser(limits: limits)
        var members: [Member] = []
        var start = 0
        while start < archive.count {
            let end = min(archive.count, start + min(pieces, archive.count))
            try Array(archive[start..<end]).withBytes { bytes throws(ArchiveError) in
                var input = bytes
                loop: while true {
                    switch try parser.next(&input) {
                    case .needsInput: break loop
                    case .entry:
                        let room = Int(min(parser.entry.size, Self.contentLimit))
                        members.append(
                            Member(entry: parser.entry, content: [UInt8](repeating: 0, count: room)))
                    case .data(let piece, let offset):
                        let range = Int(offset)..<(Int(offset) + piece.count)
                        if range.upperBound <= Self.contentLimit {
                            members[members.count - 1].content.replaceSubrange(range, with: piece)
                        }
                    case .entryEnd: break
                    }
                }
            }
            start = end
        }
        try parser.finish()
        self.members = members
    }

    subscript(_ name: String) -> Member? { members.first { $0.entry.name == name } }
}
