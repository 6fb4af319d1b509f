import Testing

@testable import ImageStore

@Suite("tar dialects")
struct TarDialectTests {
    @Test("a v7 archive has no magic, and a slash makes a directory")
    func version7() throws {
        let archive = CraftedTar.archive { tar in
            var directory = CraftedTar.Header("d/", type: "0")
            directory.type = 0
            directory.magic = []
            tar.add(directory)
            var file = CraftedTar.Header("d/f")
            file.type = 0
            file.magic = []
            file.uid = Array("   1750 ".utf8)
            tar.add(file, content: Array("hello".utf8))
        }
        let parsed = try ParsedArchive(archive)
        #expect(parsed.members.map(\.entry.kind) == [.directory, .file])
        #expect(parsed["d/f"]?.content == Array("hello".utf8))
        #expect(parsed["d/f"]?.entry.uid == 0o1750)
    }

    @Test("a ustar prefix is put before the name, star's shorter one too")
    func prefix() throws {
        let archive = CraftedTar.archive { tar in
            var header = CraftedTar.Header("name")
            header.prefix = Array("some/where".utf8)
            tar.add(header)
            var star = CraftedTar.Header("name2")
            star.prefix = Array("else".utf8) + [UInt8](repeating: 0, count: 159)
            tar.add(star)
        }
        #expect(try ParsedArchive(archive).members.map(\.entry.name) == ["some/where/name", "else/name2"])
    }

    @Test("GNU long names and links replace those of the header")
    func gnuLongNames() throws {
        let name = String(repeating: "long/", count: 60) + "name"
        let target = String(repeating: "far/", count: 70) + "target"
        let archive = CraftedTar.archive { tar in
            tar.add(CraftedTar.Header("././@LongLink", type: "K"), content: Array(target.utf8) + [0])
            tar.add(CraftedTar.Header("././@LongLink", type: "L"), content: Array(name.utf8) + [0])
            tar.add(link: "cut", to: "cut", type: "2")
            tar.add(file: "next")
        }
        let parsed = try ParsedArchive(archive)
        #expect(parsed.members.map(\.entry.name) == [name, "next"])
        #expect(parsed.members[0].entry.linkName == target)
    }

    @Test("base-256 numbers hold large ids and times before 1970")
    func base256() throws {
        let archive = CraftedTar.archive { tar in
            var header = CraftedTar.Header("f")
            header.uid = [0x80, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFE]
            header.modified = [UInt8](repeating: 0xFF, count: 11) + [0xFE]
            header.size = [0x80] + [UInt8](repeating: 0, count: 10) + [3]
            tar.add(header, content: [1, 2, 3])
        }
        let entry = try ParsedArchive(archive).members[0].entry
        #expect(entry.uid == 0xFFFF_FFFE)
        #expect(entry.modified == -2)
        #expect(entry.size == 3)
    }

    @Test("pax records override the header; an empty value takes an earlier one back")
    func pax() throws {
        let archive = CraftedTar.archive { tar in
            tar.add(pax: [("uid", "7"), ("comment", "x"), ("mtime", "5")], type: "g")
            tar.add(pax: [
                ("path", "päth/with=equals"), ("uid", "3000000000"), ("gid", "4"), ("size", "2"),
                ("mtime", "-1.25"), ("linkpath", "x"), ("linkpath", ""), ("SCHILY.xattr.user.a", "b=c\n"),
                ("LIBARCHIVE.xattr.user.x%25", "AAEC"), ("SCHILY.xattr.user.a", "last"),
            ])
            tar.add(CraftedTar.Header("short"), content: [8, 9])
            tar.add(file: "next")
        }
        let parsed = try ParsedArchive(archive)
        let entry = parsed.members[0].entry
        #expect(entry.name == "päth/with=equals")
        #expect((entry.uid, entry.gid, entry.size) == (3_000_000_000, 4, 2))
        #expect((entry.modified, entry.modifiedNanoseconds) == (-2, 750_000_000))
        #expect(entry.linkTarget.isEmpty)
        let attributes = entry.extendedAttributes.map { (String(decoding: $0.name, as: UTF8.self), $0.value) }
        #expect(attributes.map(\.0) == ["user.a", "user.x%"])
        #expect(attributes.map(\.1) == [Array("last".utf8), [0, 1, 2]])
        #expect(parsed.members[1].entry.uid == 7)
        #expect(parsed.members[1].entry.modified == 5)
    }

    @Test("a size on a link or directory means no content, as Go and GNU read it")
    func sizesWithoutContent() throws {
        let archive = CraftedTar.archive { tar in
            var link = CraftedTar.Header("l", type: "1")
            link.link = Array("f".utf8)
            link.size = Array("00000001000".utf8)
            tar.add(link)
            tar.add(file: "f", "content")
        }
        #expect(try ParsedArchive(archive).members.map(\.entry.size) == [0, 7])
    }

    @Test("checksums summed over signed bytes are accepted, as very old programs write them")
    func signedChecksum() throws {
        let archive = CraftedTar.archive { tar in
            var header = CraftedTar.Header("f\u{FC}\u{FC}")
            header.signedChecksum = true
            tar.add(header)
        }
        #expect(try ParsedArchive(archive).members.count == 1)
    }

    @Test("an archive may end without zero blocks, and padding after them is passed over")
    func ends() throws {
        var tar = CraftedTar()
        tar.add(file: "f", "1")
        #expect(try ParsedArchive(tar.bytes).members.count == 1)
        #expect(try ParsedArchive(tar.finished() + [1, 2, 3]).members.count == 1)
        #expect(try ParsedArchive([]).members.isEmpty)
    }

    @Test("all four kinds of sparse maps expand to the same file", arguments: [1, 100, 511, 512, 4096, Int.max])
    func sparse(pieces: Int) throws {
        for format in SparseArchive.Format.allCases {
            let archive = SparseArchive.make(format)
            let parsed = try ParsedArchive(archive, pieces: pieces)
            #expect(parsed.members.map(\.entry.name) == ["sparse", "after"], "\(format)")
            #expect(parsed["sparse"]?.content == SparseArchive.content, "\(format)")
            #expect(parsed["sparse"]?.entry.isSparse == true)
            #expect(parsed["after"]?.content == Array("end".utf8))
        }
    }

    @Test("the size of the pieces an archive arrives in does not matter", arguments: [1, 3, 511, 513, 1000])
    func pieces(size: Int) throws {
        let archive = CraftedTar.archive { tar in
            tar.add(directory: "d/")
            tar.add(pax: [("path", "d/" + String(repeating: "n", count: 200)), ("SCHILY.xattr.user.k", "v")])
            tar.add(file: "x", String(repeating: "content ", count: 300))
            tar.add(file: "d/empty")
        }
        #expect(try ParsedArchive(archive, pieces: size) == ParsedArchive(archive))
    }
}
