internal import Glibc
internal import LinuxSystem

/// Writes a tar archive of plain files (POSIX.1-2001 pax), forward only: the same content gives the same bytes.
struct TarWriter: ~Copyable {
    private static let blockSize = 512
    /// What eleven octal digits can say.
    private static let largestOctal: Int64 = 1 << 33 - 1

    private let descriptor: SharedDescriptor
    private let path: String
    private var buffer: [UInt8] = []
    private var remaining: Int64 = 0
    private var size: Int64 = 0

    init(_ descriptor: SharedDescriptor, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    /// Begins a file; exactly `size` bytes must follow.
    mutating func begin(_ name: String, size: Int64) throws(SystemError) {
        precondition(remaining == 0, "the member before is complete")
        var records: [(String, String)] = []
        let bytes = Array(name.utf8)
        if bytes.count > 100 { records.append(("path", name)) }
        if size > Self.largestOctal { records.append(("size", "\(size)")) }
        if !records.isEmpty {
            let text = Array(records.map { Self.record($0.0, $0.1) }.joined().utf8)
            append(Self.header("PaxHeaders/member", size: Int64(text.count), type: UInt8(ascii: "x")))
            append(text)
            append([UInt8](repeating: 0, count: TarParser.padding(after: Int64(text.count))))
        }
        let shown = bytes.count > 100 ? Array(bytes.suffix(100)) : bytes
        append(Self.header(shown, size: size > Self.largestOctal ? 0 : size, type: UInt8(ascii: "0")))
        remaining = size
        self.size = size
        if size == 0 { end() }
        try flush(whenAbove: 1 << 20)
    }

    mutating func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        precondition(Int64(bytes.count) <= remaining, "no more than was announced")
        remaining -= Int64(bytes.count)
        if bytes.count >= 64 << 10 {
            try flush(whenAbove: 0)
            try File.writeAll(bytes, to: descriptor.rawValue, path: path)
        } else {
            buffer.append(contentsOf: bytes)
            try flush(whenAbove: 1 << 20)
        }
        if remaining == 0, !bytes.isEmpty { end() }
    }

    /// A whole file.
    mutating func add(_ name: String, _ content: [UInt8]) throws(SystemError) {
        try begin(name, size: Int64(content.count))
        var failure: SystemError?
        content.withUnsafeBytes { bytes in
            do throws(SystemError) { try write(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// The two zero blocks at the end.
    mutating func finish() throws(SystemError) {
        precondition(remaining == 0, "the last member is complete")
        append([UInt8](repeating: 0, count: 2 * Self.blockSize))
        try flush(whenAbove: 0)
    }

    private mutating func end() { append([UInt8](repeating: 0, count: TarParser.padding(after: size))) }

    private mutating func append(_ bytes: [UInt8]) { buffer.append(contentsOf: bytes) }

    private mutating func flush(whenAbove limit: Int) throws(SystemError) {
        if buffer.count <= limit { return }
        try File.writeAll(buffer, to: descriptor.rawValue, path: path)
        buffer.removeAll(keepingCapacity: true)
    }

    /// `length key=value\n`, where the length counts its own digits.
    private static func record(_ key: String, _ value: String) -> String {
        let rest = key.utf8.count + value.utf8.count + 3
        var length = rest + 1
        while "\(length)".utf8.count + rest != length { length = "\(length)".utf8.count + rest }
        return "\(length) \(key)=\(value)\n"
    }

    private static func header(_ name: String, size: Int64, type: UInt8) -> [UInt8] {
        header(Array(name.utf8), size: size, type: type)
    }

    private static func header(_ name: [UInt8], size: Int64, type: UInt8) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: blockSize)
        func put(_ bytes: some Collection<UInt8>, at offset: Int) {
            block.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        }
        func octal(_ number: Int64, _ width: Int) -> [UInt8] {
            let digits = String(number, radix: 8)
            return Array((String(repeating: "0", count: width - digits.utf8.count) + digits).utf8)
        }
        put(name, at: 0)
        put(octal(0o644, 7), at: 100)
        put(octal(0, 7), at: 108)
        put(octal(0, 7), at: 116)
        put(octal(size, 11), at: 124)
        put(octal(0, 11), at: 136)
        put([UInt8](repeating: 0x20, count: 8), at: 148)
        block[156] = type
        put("ustar\u{0}00".utf8, at: 257)
        let sum = block.reduce(0) { $0 + Int64($1) }
        put(octal(sum, 6) + [0, 0x20], at: 148)
        return block
    }
}
