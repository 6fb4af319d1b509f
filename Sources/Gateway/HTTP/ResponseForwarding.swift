internal import NIOCore

extension ResponseHead {
    /// What the client is told about its connection.
    enum ConnectionNote {
        case none, close, keepAlive
        case upgrade
    }

    /// Writes this answer as the client gets it. `framing` may differ from the upstream's: the client's own version
    /// of HTTP decides.
    func writeForwarded(to out: inout ByteBuffer, framing: HTTPFraming, note: ConnectionNote) {
        bytes.withUnsafeReadableBytes { raw in
            out.writeStaticString("HTTP/1.1 ")
            out.writeString(String(status))
            if reason.isEmpty { out.writeStaticString(" ") } else { out.append(reason, of: raw) }
            out.writeStaticString("\r\n")
            for field in fields where passesOn(field, in: raw) { out.appendField(field, of: raw) }
            switch note {
            case .none: break
            case .close: out.writeStaticString("Connection: close\r\n")
            case .keepAlive: out.writeStaticString("Connection: keep-alive\r\n")
            case .upgrade:
                out.writeStaticString("Connection: upgrade\r\n")
                for field in fields where field.kind == .upgrade { out.appendField(field, of: raw) }
            }
            out.writeFraming(framing)
            out.writeStaticString("\r\n")
        }
    }

    private func passesOn(_ field: HTTPField, in raw: UnsafeRawBufferPointer) -> Bool {
        switch field.kind {
        // To a HEAD request or in a 304 it tells the length of what was not sent; elsewhere the framing restates it.
        case .contentLength: framing == .none && status >= 200 && status != 204
        case .connection, .transferEncoding, .upgrade, .hopByHop: false
        case .host, .expect, .forwardedFor, .forwardedProto, .forwardedHost: true
        case .endToEnd: !connection.lists(field.name, in: raw)
        }
    }
}

/// The trailer section of a chunked body, checked before it is passed on.
struct TrailerFields {
    private let bytes: ByteBuffer
    private let fields: [HTTPField]

    init(_ bytes: ByteBuffer, limits: HTTPLimits = .standard) throws(HTTPFault) {
        self.bytes = bytes
        let read = bytes.withUnsafeReadableBytes { raw -> Result<[HTTPField], HTTPFault> in
            var lines = HTTPLines(raw)
            do throws(HTTPFault) { return .success(try lines.fields(limit: limits.fields)) } catch {
                return .failure(error)
            }
        }
        fields = try read.get()
    }

    /// Only fields without a meaning for framing, routing or the connection may come after the body
    /// (RFC 9110 §6.5.1).
    func write(to out: inout ByteBuffer) {
        bytes.withUnsafeReadableBytes { raw in
            for field in fields where field.kind == .endToEnd { out.appendField(field, of: raw) }
        }
    }
}
