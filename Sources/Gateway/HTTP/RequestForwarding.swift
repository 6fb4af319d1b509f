internal import NIOCore

/// Who sent a request, as the X-Forwarded- fields tell it to the service.
struct ForwardedOrigin: Sendable, Equatable {
    /// The address of the client without its port.
    let address: String
    /// A peer on this host may be a proxy in front of this one: what it says of its own client is passed on.
    /// Anybody else could make it up, so that it is replaced.
    let isTrusted: Bool

    init(address: String, isTrusted: Bool) {
        self.address = address
        self.isTrusted = isTrusted
    }

    init(_ peer: SocketAddress?) {
        var address = peer?.ipAddress ?? "unknown"
        // An IPv4 client of a dual-stack listener.
        if address.hasPrefix("::ffff:") { address.removeFirst(7) }
        self.init(address: address, isTrusted: address.hasPrefix("127.") || address == "::1")
    }
}

extension RequestHead {
    /// Writes this request as the upstream gets it: HTTP/1.1, origin form, hop-by-hop fields gone, framing restated.
    func writeForwarded(to out: inout ByteBuffer, origin: ForwardedOrigin) {
        bytes.withUnsafeReadableBytes { raw in
            out.append(method, of: raw)
            out.writeStaticString(" ")
            if let first = target.first.map({ raw[$0] }) {
                if first == UInt8(ascii: "?") { out.writeStaticString("/") }
                out.append(target, of: raw)
            } else {
                out.writeStaticString("/")
            }
            out.writeStaticString(" HTTP/1.1\r\nHost: ")
            if let host { out.append(host, of: raw) } else { out.writeStaticString("localhost") }
            out.writeStaticString("\r\n")
            for field in fields where passesOn(field, in: raw) { out.appendField(field, of: raw) }
            writeOrigin(origin, to: &out, in: raw)
            if let upgrade {
                out.writeStaticString("Connection: upgrade\r\nUpgrade: ")
                out.append(upgrade, of: raw)
                out.writeStaticString("\r\n")
            }
            out.writeFraming(framing)
            out.writeStaticString("\r\n")
        }
    }

    private func passesOn(_ field: HTTPField, in raw: UnsafeRawBufferPointer) -> Bool {
        switch field.kind {
        case .connection, .contentLength, .transferEncoding, .host, .upgrade, .hopByHop: false
        case .forwardedFor, .forwardedProto, .forwardedHost: false
        case .expect: expectsContinue
        case .endToEnd: !connection.lists(field.name, in: raw)
        }
    }

    private func writeOrigin(_ origin: ForwardedOrigin, to out: inout ByteBuffer, in raw: UnsafeRawBufferPointer) {
        out.writeStaticString("X-Forwarded-For: ")
        for field in fields where origin.isTrusted && field.kind == .forwardedFor {
            out.append(field.value, of: raw)
            out.writeStaticString(", ")
        }
        out.writeString(origin.address)
        out.writeStaticString("\r\nX-Forwarded-Proto: ")
        if origin.isTrusted, let field = fields.last(where: { $0.kind == .forwardedProto }) {
            out.append(field.value, of: raw)
        } else {
            out.writeStaticString("http")
        }
        out.writeStaticString("\r\n")
        let forwardedHost = origin.isTrusted ? fields.last { $0.kind == .forwardedHost }?.value : nil
        if let host = forwardedHost ?? host {
            out.writeStaticString("X-Forwarded-Host: ")
            out.append(host, of: raw)
            out.writeStaticString("\r\n")
        }
    }
}

extension ByteBuffer {
    mutating func appendField(_ field: HTTPField, of raw: UnsafeRawBufferPointer) {
        append(field.name, of: raw)
        writeStaticString(": ")
        append(field.value, of: raw)
        writeStaticString("\r\n")
    }

    mutating func writeFraming(_ framing: HTTPFraming) {
        switch framing {
        case .none, .untilClose: break
        case .length(let length): writeString("Content-Length: \(length)\r\n")
        case .chunked: writeStaticString("Transfer-Encoding: chunked\r\n")
        }
    }

    mutating func writeChunkSize(_ size: Int) {
        writeString(String(size, radix: 16))
        writeStaticString("\r\n")
    }
}
