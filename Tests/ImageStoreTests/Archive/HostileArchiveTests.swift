import Testing

@testable import ImageStore

@Suite("hostile archives")
struct HostileArchiveTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let title: String
        let expected: ArchiveError.Problem
        let archive: [UInt8]
        /// Lower ones than the store's, where reaching those would take a test too long.
        let limits: ArchiveLimits
        let sparseLimit: Int64
        var testDescription: String { title }

        init(
            _ title: String, _ expected: ArchiveError.Problem, limits: (inout ArchiveLimits) -> Void = { _ in },
            sparseLimit: Int64 = .max, _ build: (inout CraftedTar) -> Void
        ) {
            self.title = title
            self.expected = expected
            self.sparseLimit = sparseLimit
            var lowered = ArchiveLimits()
            limits(&lowered)
            self.limits = lowered
            archive = CraftedTar.archive(build)
        }
    }

    private static func header(
        _ name: String, type: Character = "0", _ change: (inout CraftedTar.Header) -> Void
    ) -> CraftedTar.Header {
        var header = CraftedTar.Header(name, type: type)
        change(&header)
        return header
    }

    static let names: [Case] = [
        Case("climbs out by ..", .parentDirectory) { $0.add(file: "../etc/passwd") },
        Case("climbs out in the middle", .parentDirectory) { $0.add(file: "a/../../b") },
        Case("ends with ..", .parentDirectory) { $0.add(directory: "a/..") },
        Case("has no name", .emptyName) { $0.add(file: "") },
        Case("has a NUL in a pax name", .nulInName) {
            $0.add(pax: [("path", "a\u{0}b")])
            $0.add(file: "x")
        },
        Case("has a component of 256 bytes", .nameTooLong(limit: 255)) {
            $0.add(pax: [("path", String(repeating: "n", count: 256))])
            $0.add(file: "x")
        },
        Case("has a path of 4097 bytes", .pathTooLong(limit: 4096)) {
            $0.add(pax: [("path", String(repeating: "ab/", count: 1365) + "ab")])
            $0.add(file: "x")
        },
        Case("is 257 directories deep", .pathTooDeep(limit: 256)) {
            $0.add(pax: [("path", String(repeating: "d/", count: 256) + "f")])
            $0.add(file: "x")
        },
        Case("is deep by a symbolic link", .pathTooDeep(limit: 256)) {
            let deep = String(repeating: "d/", count: 200)
            $0.add(pax: [("path", deep)])
            $0.add(directory: "x")
            $0.add(pax: [("linkpath", deep)])
            $0.add(link: "l", to: "x", type: "2")
            $0.add(pax: [("path", "l/" + deep)])
            $0.add(directory: "x")
        },
        Case("goes through a file", .parentNotDirectory("f")) {
            $0.add(file: "f")
            $0.add(file: "f/g")
        },
        Case("goes through a symbolic link that leads nowhere", .parentNotDirectory("l")) {
            $0.add(link: "l", to: "/etc", type: "2")
            $0.add(file: "l/passwd")
        },
        Case("goes in circles", .tooManySymbolicLinks) {
            $0.add(link: "a", to: "b", type: "2")
            $0.add(link: "b", to: "a", type: "2")
            $0.add(file: "a/f")
        },
        Case("replaces the root", .rootNotDirectory) { $0.add(file: "./") },
        Case("deletes nothing", .badWhiteout) { $0.add(file: "d/.wh.") },
        Case("deletes the parent", .badWhiteout) { $0.add(file: "d/.wh...") },
        Case("puts a file below a whiteout", .badWhiteout) { $0.add(file: ".wh.d/f") },
    ]

    static let links: [Case] = [
        Case("hard link out of the layer", .linkTargetMissing("/etc/passwd")) {
            $0.add(link: "l", to: "/etc/passwd", type: "1")
        },
        Case("hard link by ..", .parentDirectory) { $0.add(link: "l", to: "../x", type: "1") },
        Case("hard link to a directory", .linkTargetIsDirectory("d")) {
            $0.add(directory: "d")
            $0.add(link: "l", to: "d", type: "1")
        },
        Case("hard link to the root", .linkTargetIsDirectory("/")) { $0.add(link: "l", to: "/", type: "1") },
        Case("hard link to a deleted name", .linkTargetMissing("x")) {
            $0.add(file: ".wh.x")
            $0.add(link: "l", to: "x", type: "1")
        },
        Case("hard link to itself", .linkToItself) {
            $0.add(file: "f")
            $0.add(link: "f", to: "./f", type: "1")
        },
        Case("symbolic link to nothing", .emptyLinkTarget) { $0.add(link: "l", to: "", type: "2") },
        Case("hard link to nothing", .emptyLinkTarget) { $0.add(link: "l", to: "", type: "1") },
    ]

    static let types: [Case] = [
        Case("block device", .deviceNode) { $0.add(CraftedTar.Header("sda", type: "4")) },
        Case("character device", .deviceNode) {
            $0.add(header("mem", type: "3") { $0.minor = "0000001" })
        },
        Case("continuation of another volume", .unsupportedType(UInt8(ascii: "M"))) {
            $0.add(CraftedTar.Header("f", type: "M"))
        },
        Case("sparse file without GNU magic", .unsupportedType(UInt8(ascii: "S"))) {
            $0.add(CraftedTar.Header("f", type: "S"))
        },
    ]

    static let numbers: [Case] = [
        Case("wrong checksum", .badChecksum) { $0.add(header("f") { $0.checksumOffset = 1 }) },
        Case("negative size in base 256", .sizeOutOfBounds) {
            $0.add(header("f") { $0.size = [UInt8](repeating: 0xFF, count: 12) })
        },
        Case("size beyond 64 bits", .badNumber(field: "size")) {
            $0.add(header("f") { $0.size = [0xBF] + [UInt8](repeating: 0xFF, count: 11) })
        },
        Case("size of letters", .badNumber(field: "size")) { $0.add(header("f") { $0.size = Array("12x".utf8) }) },
        Case("size beyond the archive's limits", .sizeOutOfBounds) {
            $0.add(header("f") { $0.size = [0x80, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 0, 0] })
        },
        Case("negative owner", .badNumber(field: "uid")) {
            $0.add(header("f") { $0.uid = [UInt8](repeating: 0xFF, count: 8) })
        },
        Case("owner that means nobody", .badNumber(field: "gid")) {
            $0.add(pax: [("gid", "4294967295")])
            $0.add(file: "f")
        },
        Case("pax size with a sign", .badNumber(field: "size")) {
            $0.add(pax: [("size", "-1")])
            $0.add(file: "f")
        },
        Case("pax time of words", .badNumber(field: "mtime")) {
            $0.add(pax: [("mtime", "1.x")])
            $0.add(file: "f")
        },
        Case("lone zero block", .loneZeroBlock) {
            $0.addRaw([UInt8](repeating: 0, count: 512))
            $0.add(file: "f")
        },
    ]

    static let records: [Case] = [
        Case("record without length", .badRecord(reason: "a record does not begin with its length")) {
            $0.add(CraftedTar.Header("x", type: "x"), content: Array("path=a\n".utf8))
        },
        Case("record that is too long", .badRecord(reason: "a record's length does not fit")) {
            $0.add(CraftedTar.Header("x", type: "x"), content: Array("99 path=a\n".utf8))
        },
        Case("record of length zero", .badRecord(reason: "a record's length does not fit")) {
            $0.add(CraftedTar.Header("x", type: "x"), content: Array("0 path=a\n".utf8))
        },
        Case("record without key", .badRecord(reason: "a record has no key")) {
            $0.add(CraftedTar.Header("x", type: "x"), content: Array("6 =ab\n".utf8))
        },
        Case("global header that names all files", .badRecord(reason: "a global header sets \"path\"")) {
            $0.add(pax: [("path", "a")], type: "g")
        },
        Case("attribute that is not base64", .badExtendedAttribute("user.a")) {
            $0.add(pax: [("LIBARCHIVE.xattr.user.a", "*")])
            $0.add(file: "f")
        },
        Case("attribute without a name", .badExtendedAttribute("user.")) {
            $0.add(pax: [("SCHILY.xattr.user.", "v")])
            $0.add(file: "f")
        },
        Case("attributes of more than 64 KiB", .extendedAttributesTooLarge(limit: 65536)) {
            $0.add(pax: [
                ("SCHILY.xattr.user.a", String(repeating: "v", count: 40000)),
                ("SCHILY.xattr.user.b", String(repeating: "v", count: 40000)),
            ])
            $0.add(file: "f")
        },
        Case("256 attributes", .badRecord(reason: "it has more than 255 extended attributes")) {
            $0.add(pax: (0..<256).map { ("SCHILY.xattr.user.\($0)", "v") })
            $0.add(file: "f")
        },
        Case("extended header of more than 1 MiB", .headerTooLarge(limit: 1 << 20)) {
            $0.add(header("x", type: "x") { $0.size = CraftedTar.octal((1 << 20) + 1, width: 12) })
        },
        Case("long name of more than 1 MiB", .headerTooLarge(limit: 1 << 20)) {
            $0.add(header("x", type: "L") { $0.size = CraftedTar.octal(1 << 30, width: 12) })
        },
        Case("long name of negative size", .sizeOutOfBounds) {
            $0.add(header("x", type: "L") { $0.size = [UInt8](repeating: 0xFF, count: 12) })
        },
    ]

    private static func sparse(_ map: String, size: String = "100", stored: Int = 5) -> (inout CraftedTar) -> Void {
        { tar in
            tar.add(pax: [("GNU.sparse.size", size), ("GNU.sparse.name", "s"), ("GNU.sparse.map", map)])
            tar.add(CraftedTar.Header("s"), content: [UInt8](repeating: 1, count: stored))
        }
    }

    static let sparseMaps: [Case] = [
        Case("map out of order", .badSparseMap(reason: "its parts are not in order"), sparse("10,2,5,3")),
        Case("map that overlaps itself", .badSparseMap(reason: "its parts are not in order"), sparse("0,4,3,1")),
        Case("map beyond the end", .badSparseMap(reason: "a part lies beyond the end of the file"), sparse("98,5")),
        Case(
            "map of more than is stored", .badSparseMap(reason: "its parts do not add up to the bytes that are stored"),
            sparse("0,6")),
        Case(
            "map of less than is stored", .badSparseMap(reason: "its parts do not add up to the bytes that are stored"),
            sparse("0,4")),
        Case(
            "map that overflows", .badSparseMap(reason: "a part is out of bounds"),
            sparse("9223372036854775807,5")),
        Case("map of an odd count", .badSparseMap(reason: "an offset has no length"), sparse("1,2,3")),
        Case("file of 2^60 bytes", .sizeOutOfBounds, sparse("0,5", size: "1152921504606846976")),
        Case("format from the future", .badSparseMap(reason: "its format 7.0 is not known")) {
            $0.add(pax: [("GNU.sparse.major", "7"), ("GNU.sparse.realsize", "1")])
            $0.add(file: "s")
        },
        Case(
            "map before the content that is longer than it",
            .badSparseMap(reason: "it is longer than the stored content")
        ) {
            $0.add(pax: [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9")])
            let map = Array((["900"] + Array(repeating: "1", count: 255)).joined(separator: "\n").utf8) + [0x0A]
            $0.add(CraftedTar.Header("s"), content: Array(map.prefix(512)))
        },
        Case("map before the content with a huge count", .headerTooLarge(limit: 1 << 20)) {
            $0.add(pax: [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "9")])
            $0.add(CraftedTar.Header("s"), content: Array("9999999999\n".utf8) + [UInt8](repeating: 0, count: 600))
        },
    ]

    /// Little in the archive that would become much in memory or on disk.
    static let floods: [Case] = [
        Case("entries", .tooManyEntries(limit: 10), limits: { $0.entries = 10 }) { tar in
            for number in 0..<11 { tar.add(file: "f\(number)") }
        },
        Case("directories that are not listed", .tooManyNodes(limit: 150), limits: { $0.nodes = 150 }) { tar in
            for first in 0..<2 { tar.add(file: "\(first)/" + String(repeating: "d/", count: 48) + "f") }
            for first in 2..<4 { tar.add(file: "\(first)/" + String(repeating: "d/", count: 48) + "f") }
        },
        Case("replacements of one file", .tooManyNodes(limit: 20), limits: { $0.nodes = 20 }) { tar in
            for number in 0..<20 { tar.add(file: "f", "\(number)") }
        },
        Case("names", .namesTooLarge(limit: 2000), limits: { $0.names = 2000 }) { tar in
            for number in 10..<50 { tar.add(file: "\(number)" + String(repeating: "n", count: 90)) }
        },
        Case("names of hard links", .namesTooLarge(limit: 2000), limits: { $0.names = 2000 }) { tar in
            tar.add(file: "f")
            for number in 10..<50 {
                tar.add(link: "\(number)" + String(repeating: "n", count: 90), to: "f", type: "1")
            }
        },
        Case("link targets", .namesTooLarge(limit: 2000), limits: { $0.names = 2000 }) { tar in
            for number in 0..<40 { tar.add(link: "l\(number)", to: String(repeating: "t", count: 99), type: "2") }
        },
        Case("extended headers", .headersTooLarge(limit: 5000), limits: { $0.headers = 5000 }) { tar in
            for number in 0..<6 {
                tar.add(pax: [("comment", String(repeating: "c", count: 1000))])
                tar.add(file: "f\(number)")
            }
        },
        Case("attributes", .attributesTooLarge(limit: 5000), limits: { $0.attributes = 5000 }) { tar in
            for number in 0..<6 {
                tar.add(pax: [("SCHILY.xattr.user.a", "\(number)" + String(repeating: "v", count: 1000))])
                tar.add(file: "f\(number)")
            }
        },
        Case(
            "attributes of a global header, once with each file", .expandsTooMuch(limit: 100_000),
            limits: { $0.attributes = 5000 }, sparseLimit: 100_000
        ) { tar in
            tar.add(pax: [("SCHILY.xattr.user.a", String(repeating: "v", count: 4000))], type: "g")
            for number in 0..<30 { tar.add(file: "f\(number)") }
        },
        Case("a tiny map of a large sparse file", .expandsTooMuch(limit: 64 << 20), sparseLimit: 64 << 20) { tar in
            let parts = (0..<1000).map { "\($0 << 34),1" }.joined(separator: ",")
            tar.add(pax: [("GNU.sparse.size", "\(1 << 44)"), ("GNU.sparse.name", "s"), ("GNU.sparse.map", parts)])
            tar.add(CraftedTar.Header("s"), content: [UInt8](repeating: 1, count: 1000))
        },
    ]

    @Test(
        "are refused for what is wrong with them",
        arguments: names + links + types + numbers + records + sparseMaps + floods)
    func refused(hostile: Case) throws {
        for pieces in [Int.max, 100] {
            let problem = try ScratchImage().build(
                hostile.archive, pieces: pieces, limits: hostile.limits, sparseLimit: hostile.sparseLimit)
            guard case .refusedArchive(source: "test", let error) = problem else {
                Issue.record("\(hostile.title) was met with \(String(describing: problem))")
                continue
            }
            #expect(error.problem == hostile.expected)
            #expect("\(error)".utf8.count < 500)
        }
    }

    @Test("that end too early are refused wherever they are cut")
    func truncated() throws {
        let whole = CraftedTar.archive { tar in
            tar.add(pax: [("path", "name")])
            tar.add(file: "x", String(repeating: "content", count: 100))
        }
        // The content of 700 bytes is padded to 1024; umoci leaves that out at the end.
        let contentEnd = whole.count - 1024 - 324
        for length in 1..<contentEnd {
            let problem = try ScratchImage().build(Array(whole[..<length]))
            guard case .refusedArchive(source: _, let error) = problem else {
                Issue.record("cut after \(length) bytes: \(String(describing: problem))")
                return
            }
            #expect(error.problem == .truncated)
        }
        #expect(try ScratchImage().build(Array(whole[..<contentEnd])) == nil)
    }

    /// Tricks that do no harm here, since names lead nowhere but into the layer: what becomes of them.
    struct Harmless: CustomTestStringConvertible, Sendable {
        let title: String
        let paths: [String]
        let archive: [UInt8]
        var testDescription: String { title }

        init(_ title: String, becomes paths: [String], _ build: (inout CraftedTar) -> Void) {
            self.title = title
            self.paths = paths
            archive = CraftedTar.archive(build)
        }
    }

    static let harmless: [Harmless] = [
        Harmless("an absolute name lands in the layer", becomes: ["etc", "etc/passwd"]) { $0.add(file: "/etc/passwd") },
        Harmless("so does one of many slashes and dots", becomes: ["etc", "etc/passwd"]) {
            $0.add(file: "//././etc//./passwd")
        },
        Harmless("a link out of the layer is led back into it", becomes: ["etc", "etc/passwd", "l"]) {
            $0.add(directory: "etc")
            $0.add(link: "l", to: "../../../../etc", type: "2")
            $0.add(file: "l/passwd")
        },
        Harmless("a directory that becomes a link takes nothing along", becomes: ["d", "e", "e/g"]) {
            $0.add(directory: "d")
            $0.add(file: "d/f")
            $0.add(directory: "e")
            $0.add(link: "d", to: "e", type: "2")
            $0.add(file: "d/g")
        },
        Harmless("a link that becomes a file is one", becomes: ["l"]) {
            $0.add(link: "l", to: "/etc/passwd", type: "2")
            $0.add(file: "l", "content")
        },
        Harmless("a whiteout does not delete what its own layer brings", becomes: ["f"]) {
            $0.add(file: "f")
            $0.add(file: ".wh.f")
        },
        Harmless("AUFS's own names are passed over", becomes: ["f"]) {
            $0.add(directory: ".wh..wh.plnk")
            $0.add(file: ".wh..wh.plnk/1.2")
            $0.add(file: "f")
        },
        Harmless("attributes that speak to overlayfs or the kernel are dropped", becomes: ["f"]) {
            $0.add(pax: [
                ("SCHILY.xattr.trusted.overlay.redirect", "/etc"), ("SCHILY.xattr.trusted.overlay.metacopy", ""),
                ("SCHILY.xattr.trusted.overlay.opaque", "y"), ("SCHILY.xattr.security.selinux", "x"),
                ("SCHILY.xattr.system.posix_acl_access", "x"),
            ])
            $0.add(file: "f")
        },
    ]

    @Test(
        "that try tricks with names stay within the layer",
        .enabled(if: MountedImage.isPossible, "needs root and a kernel that mounts EROFS from files"),
        arguments: harmless)
    func neutralised(trick: Harmless) throws {
        let scratch = try ScratchImage()
        try #require(try scratch.build(trick.archive) == nil)
        let image = try MountedImage(scratch.path)
        let listing = try image.listing()
        #expect(Set(listing.lines.keys) == Set(["."] + trick.paths.map { "./\($0)" }))
        #expect(!listing.lines.values.contains { $0.contains("trusted.") || $0.contains("security.") })
    }

    @Test("with control characters in names are shown escaped")
    func printable() {
        #expect(PrintableName.make(Array("a\u{1B}[31m\"\nb".utf8)) == "a\\u{1B}[31m\\\"\\nb")
        #expect(PrintableName.make([UInt8](repeating: 0x41, count: 5000)).count == 201)
    }
}
