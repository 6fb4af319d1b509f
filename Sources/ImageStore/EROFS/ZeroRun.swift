internal import Glibc
internal import LinuxSystem

/// Turns aligned runs of 1 MiB of zeros inside a file into holes of the image file: the EROFS file stays one extent,
/// and its alignment is kept, while zeros take no disk space.
struct ZeroRun {
    static let length: Int64 = 1 << 20

    private var isEnabled = false
    /// Offset in the run-sized part of the file that is being received.
    private var within: Int64 = 0
    /// Zeros at the start of this part that are not written yet.
    private var pending: Int64 = 0

    mutating func begin(isEnabled: Bool) {
        self.isEnabled = isEnabled
        within = 0
        pending = 0
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer, to file: ImageFile) throws(SystemError) {
        guard isEnabled else { return try file.append(bytes) }
        var rest = bytes
        while !rest.isEmpty {
            let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Int(Self.length - within)))
            rest = UnsafeRawBufferPointer(rebasing: rest[piece.count...])
            if pending == within, Self.isZero(piece) {
                pending += Int64(piece.count)
            } else {
                try writePending(file)
                try file.append(piece)
            }
            within += Int64(piece.count)
            if within == Self.length {
                if pending == Self.length {
                    try file.skip(to: file.position + Self.length)
                    pending = 0
                }
                within = 0
            }
        }
    }

    mutating func end(_ file: ImageFile) throws(SystemError) { try writePending(file) }

    private mutating func writePending(_ file: ImageFile) throws(SystemError) {
        guard pending > 0 else { return }
        try file.appendZeros(pending)
        // Not equal to `within` any more: the rest of this part is written as it is.
        pending = 0
    }

    private static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress, bytes[0] == 0 else { return bytes.isEmpty }
        return memcmp(start, start + 1, bytes.count - 1) == 0
    }
}
