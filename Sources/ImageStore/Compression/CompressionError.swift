/// Why a compressed stream cannot be read.
public enum CompressionError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The decoder met bytes that its format does not allow.
    case damaged(format: String, reason: String)
    /// The stream ends in the middle of a member or frame.
    case truncated(format: String)
    /// Bytes follow the last gzip member that are neither another member nor zero padding.
    case trailingGarbage
    /// A known format that this store does not read.
    case unsupported(format: String)
    /// The content grows beyond what is allowed for a blob of its size.
    case expandsTooMuch(limit: Int64)

    public var description: String {
        switch self {
        case .damaged(let format, let reason): "the \(format) stream is damaged: \(reason)"
        case .truncated(let format): "the \(format) stream ends too early"
        case .trailingGarbage: "bytes that are no gzip member follow the gzip stream"
        case .unsupported(let format): "it is compressed with \(format), which is not supported"
        case .expandsTooMuch(let limit): "its content is larger than the limit of \(limit) bytes"
        }
    }
}
