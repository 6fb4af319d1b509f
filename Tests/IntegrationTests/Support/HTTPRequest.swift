import CLinux
import Glibc
import LinuxSystem

/// One HTTP request to a port of this machine, on a connection of its own.
struct HTTPRequest {
    var port: Int
    var method = "GET"
    var path = "/"
    var body: [UInt8] = []
    /// For connecting, and for each read.
    var seconds = 20

    struct Answer: Equatable {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    enum Failure: Error, Equatable {
        case connect(Errno)
        case broken(String)
    }

    func send() throws(Failure) -> Answer {
        let socket = try connect()
        var head = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n"
        if !body.isEmpty || method == "POST" { head += "Content-Length: \(body.count)\r\n" }
        let answer: [UInt8]
        do throws(SystemError) {
            try File.writeAll(Array((head + "\r\n").utf8) + body, to: socket.rawValue)
            answer = try File.readAll(socket.rawValue)
        } catch {
            throw Failure.broken("\(error)")
        }
        return try Self.parse(answer)
    }

    private func connect() throws(Failure) -> OwnedDescriptor {
        let opened = mlr_socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard opened >= 0 else { throw Failure.connect(Errno(rawValue: -opened)) }
        let socket = OwnedDescriptor(taking: opened)
        var patience = timeval(tv_sec: seconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(opened, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        let result = retrying { mlr_connect_ipv4(opened, 0x7F00_0001, UInt16(port)) }
        guard result >= 0 else { throw Failure.connect(Errno(rawValue: -result)) }
        return socket
    }

    private static func parse(_ bytes: [UInt8]) throws(Failure) -> Answer {
        let separator = Array("\r\n\r\n".utf8)
        guard let end = bytes.firstRange(of: separator) else {
            throw Failure.broken(
                "the answer ended after \(bytes.count) bytes: \(String(decoding: bytes, as: UTF8.self))")
        }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).split(separator: "\r\n")
        let words = (lines.first ?? "").split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
            throw Failure.broken("no status line: \(lines.first ?? "")")
        }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { headers[parts[0].lowercased()] = parts[1].drop { $0 == " " }.description }
        }
        var body = Array(bytes[end.upperBound...])
        if headers["transfer-encoding"] == "chunked" {
            body = try unchunked(body)
        } else if let length = headers["content-length"].flatMap({ Int($0) }) {
            guard body.count == length else { throw Failure.broken("\(body.count) bytes of \(length) came") }
        }
        return Answer(status: status, headers: headers, body: body)
    }

    private static func unchunked(_ bytes: [UInt8]) throws(Failure) -> [UInt8] {
        var rest = bytes[...]
        var body: [UInt8] = []
        while let line = rest.firstIndex(of: 10) {
            let digits = String(decoding: rest[..<line], as: UTF8.self).prefix { $0.isHexDigit }
            guard let size = Int(digits, radix: 16), rest.endIndex - line - 1 >= size + 2 else { break }
            if size == 0 { return body }
            body += rest[(line + 1)..<(line + 1 + size)]
            rest = rest[(line + 3 + size)...]
        }
        throw Failure.broken("the last chunk is missing after \(body.count) bytes")
    }
}

extension Array where Element == UInt8 {
    fileprivate func firstRange(of pattern: [UInt8]) -> Range<Int>? {
        guard count >= pattern.count else { return nil }
        return (0...(count - pattern.count)).first { self[$0..<($0 + pattern.count)].elementsEqual(pattern) }
            .map { $0..<($0 + pattern.count) }
    }
}
