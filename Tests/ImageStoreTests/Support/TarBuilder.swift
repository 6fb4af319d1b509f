import Glibc

/// Writes ustar archives for tests.
struct TarBuilder {
    private(set) var bytes: [UInt8] = []

    mutating func directory(_ name: String, mode: Int = 0o755, uid: Int = 0, gid: Int = 0) {
        header(name, mode: mode, uid: uid, gid: gid, size: 0, type: "5", link: "")
    }

    mutating func file(_ name: String, _ text: String, mode: Int = 0o644, uid: Int = 0, gid: Int = 0) {
        file(name, Array(text.utf8), mode: mode, uid: uid, gid: gid)
    }

    mutating func file(_ name: String, _ content: [UInt8], mode: Int = 0o644, uid: Int = 0, gid: Int = 0) {
        header(name, mode: mode, uid: uid, gid: gid, size: content.count, type: "0", link: "")
        bytes += content
        bytes += [UInt8](repeating: 0, count: (512 - content.count % 512) % 512)
    }

    mutating func link(_ name: String, to target: String, hard: Bool = false) {
        header(name, mode: 0o777, uid: 0, gid: 0, size: 0, type: hard ? "1" : "2", link: target)
    }

    func finished() -> [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }

    private mutating func header(
        _ name: String, mode: Int, uid: Int, gid: Int, size: Int, type: Character, link: String
    ) {
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { block[offset + index] = byte }
        }
        func octal(_ number: Int, digits: Int, at offset: Int) {
            let text = String(number, radix: 8)
            put(String(repeating: "0", count: digits - text.count) + text, at: offset)
        }
        precondition(name.utf8.count <= 100 && link.utf8.count <= 100)
        put(name, at: 0)
        octal(mode, digits: 7, at: 100)
        octal(uid, digits: 7, at: 108)
        octal(gid, digits: 7, at: 116)
        octal(size, digits: 11, at: 124)
        octal(1_700_000_000, digits: 11, at: 136)
        put(String(type), at: 156)
        put(link, at: 157)
        put("ustar", at: 257)
        put("00", at: 263)
        for index in 148..<156 { block[index] = 0x20 }
        octal(block.reduce(0) { $0 + Int($1) }, digits: 6, at: 148)
        block[154] = 0
        bytes += block
    }
}
