/// Bytes of a stream put together to lines.
struct LineBuffer {
    private var bytes: [UInt8] = []
    private var start = 0
    /// Everything before this is known to hold no line feed.
    private var searched = 0

    /// Bytes that wait for the end of their line.
    var count: Int { bytes.count - start }

    mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    /// The next line without its line feed.
    mutating func next() -> [UInt8]? {
        guard let end = bytes[max(start, searched)...].firstIndex(of: UInt8(ascii: "\n")) else {
            searched = bytes.count
            if start > 0 {
                bytes.removeFirst(start)
                searched -= start
                start = 0
            }
            return nil
        }
        defer { start = end + 1 }
        return Array(bytes[start..<end])
    }
}
