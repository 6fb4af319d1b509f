internal import NIOCore
internal import OCISpec

/// An answer that the gateway gives in the place of a service.
struct GatewayAnswer {
    let status: Int
    let message: String
    var retryAfter: Int?

    /// The whole answer. Its body has the shape in which model servers' clients expect errors.
    func bytes(keepsAlive: Bool, toHead: Bool) -> ByteBuffer {
        let body: JSON = [
            "error": ["message": .string(message), "type": "gateway_error", "code": .integer(Int64(status))]
        ]
        let text = body.text() + "\n"
        var out = ByteBuffer()
        out.writeString("HTTP/1.1 \(status) \(Self.reason(status))\r\nContent-Type: application/json\r\n")
        out.writeString("Content-Length: \(text.utf8.count)\r\n")
        if let retryAfter { out.writeString("Retry-After: \(retryAfter)\r\n") }
        if !keepsAlive { out.writeStaticString("Connection: close\r\n") }
        out.writeStaticString("\r\n")
        if !toHead { out.writeString(text) }
        return out
    }

    private static func reason(_ status: Int) -> String {
        switch status {
        case 400: "Bad Request"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 414: "URI Too Long"
        case 417: "Expectation Failed"
        case 431: "Request Header Fields Too Large"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Error"
        }
    }
}
