/// A message that breaks HTTP/1.1 (RFC 9112), or a limit, so that it must not be passed on.
struct HTTPFault: Error, Equatable, Sendable {
    /// The status code for a client that sent it. An upstream that sent it makes a 502 of any.
    let status: Int
    let reason: String

    init(_ status: Int, _ reason: String) {
        self.status = status
        self.reason = reason
    }
}

/// How large the parts of a message before its body may be, in bytes and in fields.
struct HTTPLimits: Sendable {
    /// The request line or status line without its end of line; longer is 414.
    var startLine = 16 << 10
    /// The start line and all header fields; larger is 431.
    var head = 64 << 10
    /// More header fields are 431.
    var fields = 200
    /// One chunk-size line with its extensions.
    var chunkLine = 1 << 10
    /// The whole trailer section.
    var trailers = 16 << 10

    static let standard = HTTPLimits()
}
