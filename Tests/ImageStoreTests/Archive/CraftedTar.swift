/// Builds tar archives byte by byte, right or wrong, for tests.
struct CraftedTar {
    private(set) var bytes: [UInt8] = []

    struct Header {
        var name: [UInt8]
        var type: UInt8 = UInt8(ascii: "0")
        var mode = "0000644"
        var uid: [UInt8] = Array("0000000".utf8)
        var gid: [UInt8] = Array("0000000".utf8)
        var size: [UInt8]?
        var modified: [UInt8] = Array("00000000000".utf8)
        var link: [UInt8] = []
        var magic: [UInt8] = Array("ustar\u{0}00".utf8)
        var major = "0000000"
        var minor = "0000000"
        var prefix: [UInt8] = []
        var checksumOffset = 0
        var signedChecksum = false

        init(_ name: String, type: Character = "0") {
            self.name = Array(name.utf8)
            self.type = type.asciiValue ?? 0
        }
    }

    static func octal(_ number: Int, width: Int) -> [UInt8] {
        let digits = String(number, radix: 8)
        return Array((String(repeating: "0", count: max(0, width - 1 - digits.count)) + digits).utf8)
    }

    mutating func add(_ header: Header, content: [UInt8] = []) {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ value: [UInt8], at offset: Int, room: Int) {
            block.replaceSubrange(offset..<(offset + min(room, value.count)), with: value.prefix(room))
        }
        put(header.name, at: 0, room: 100)
        put(Array(header.mode.utf8), at: 100, room: 8)
        put(header.uid, at: 108, room: 8)
        put(header.gid, at: 116, room: 8)
        put(header.size ?? Self.octal(content.count, width: 12), at: 124, room: 12)
        put(header.modified, at: 136, room: 12)
        block[156] = header.type
        put(header.link, at: 157, room: 100)
        put(header.magic, at: 257, room: 8)
        put(Array(header.major.utf8), at: 329, room: 8)
        put(Array(header.minor.utf8), at: 337, room: 8)
        put(header.prefix, at: 345, room: 155)
        for index in 148..<156 { block[index] = 0x20 }
        let sum =
            header.signedChecksum
            ? block.reduce(0) { $0 + Int(Int8(bitPattern: $1)) } : block.reduce(0) { $0 + Int($1) }
        put(Self.octal(sum + header.checksumOffset, width: 7) + [0], at: 148, room: 8)
        bytes += block
        addContent(content)
    }

    mutating func addContent(_ content: [UInt8]) {
        bytes += content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    mutating func addRaw(_ raw: [UInt8]) { bytes += raw }

    mutating func add(file name: String, _ content: String = "") {
        add(Header(name), content: Array(content.utf8))
    }

    mutating func add(directory name: String) {
        var header = Header(name, type: "5")
        header.mode = "0000755"
        add(header)
    }

    mutating func add(link name: String, to target: String, type: Character) {
        var header = Header(name, type: type)
        header.link = Array(target.utf8)
        add(header)
    }

    /// A pax header with these records, in order.
    mutating func add(pax records: [(String, [UInt8])], type: Character = "x") {
        add(Header("././@PaxHeader", type: type), content: records.flatMap { Self.record($0.0, $0.1) })
    }

    mutating func add(pax records: [(String, String)], type: Character = "x") {
        add(pax: records.map { ($0.0, Array($0.1.utf8)) }, type: type)
    }

    static func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
        let rest = key.utf8.count + value.count + 3
        var length = rest + 1
        while String(length).count + rest != length { length = String(length).count + rest }
        return Array("\(length) \(key)=".utf8) + value + [0x0A]
    }

    /// The archive with its two zero blocks.
    func finished() -> [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

    static func archive(_ build: (inout CraftedTar) -> Void) -> [UInt8] {
        var builder = CraftedTar()
        build(&builder)
        return builder.finished()
    }
}
