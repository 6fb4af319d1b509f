internal import CLinux
internal import Glibc
internal import LinuxSystem

/// A socket of rtnetlink(7), in the caller's network namespace or another.
struct NetlinkSocket: ~Copyable {
    private let socket: OwnedDescriptor

    private static let family: Int32 = 16
    private static let isError: UInt16 = 2
    private static let isEnd: UInt16 = 3

    /// - Parameter namespace: an open network namespace; nil is the caller's.
    init(namespace: Int32? = nil) throws(SystemError) {
        let type = Int32(SOCK_RAW.rawValue)
        let result =
            namespace.map { mlr_socket_in_namespace($0, Self.family, type, 0) } ?? mlr_socket(Self.family, type, 0)
        socket = OwnedDescriptor(taking: try check(result, "talk to the kernel about network devices"))
    }

    /// Asks and returns the bodies of the answers, each behind its netlink header.
    func request(
        _ message: NetlinkMessage, isDump: Bool = false, _ operation: String
    ) throws(SystemError) -> [[UInt8]] {
        let bytes = message.bytes(flags: isDump ? 0x301 : 0x5)
        try check(
            retrying { () -> Int in
                let sent = send(socket.rawValue, bytes, bytes.count, 0)
                return sent < 0 ? -Int(errno) : sent
            }, operation)
        var answers: [[UInt8]] = []
        while true {
            for (type, body) in NetlinkMessage.split(try receive(operation)) {
                switch type {
                case Self.isEnd: return answers
                case Self.isError:
                    let number = body.integer(Int32.self, at: 0) ?? -EPROTO
                    if number != 0 { throw SystemError(operation, Errno(rawValue: -number)) }
                    return answers
                default: answers.append(body)
                }
            }
        }
    }

    private func receive(_ operation: String) throws(SystemError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let got = try check(
            retrying { () -> Int in
                let got = recv(socket.rawValue, &buffer, buffer.count, 0)
                return got < 0 ? -Int(errno) : got
            }, operation)
        return Array(buffer[..<got])
    }
}

/// One message: its type, the fixed head of that type, and attributes.
struct NetlinkMessage {
    static let newLink: UInt16 = 16
    static let getLink: UInt16 = 18
    static let newAddress: UInt16 = 20
    static let getAddress: UInt16 = 22

    let type: UInt16
    private var body: [UInt8]
    /// NLM_F_CREATE and NLM_F_EXCL.
    var creates = false

    init(_ type: UInt16, head: [UInt8]) {
        self.type = type
        body = head
    }

    /// `struct ifinfomsg`.
    static func link(_ type: UInt16, index: Int32 = 0, flags: UInt32 = 0, change: UInt32 = 0) -> NetlinkMessage {
        NetlinkMessage(type, head: [0, 0, 0, 0] + index.octets + flags.octets + change.octets)
    }

    mutating func add(_ attribute: UInt16, _ value: [UInt8]) {
        body += UInt16(4 + value.count).octets + attribute.octets + value
        body += [UInt8](repeating: 0, count: (4 - value.count % 4) % 4)
    }

    mutating func add(_ attribute: UInt16, _ text: String) { add(attribute, Array(text.utf8) + [0]) }

    func bytes(flags: UInt16) -> [UInt8] {
        let all = flags | (creates ? 0x600 : 0)
        return UInt32(16 + body.count).octets + type.octets + all.octets + UInt32(1).octets + UInt32(0).octets + body
    }

    /// The messages of one datagram.
    static func split(_ bytes: [UInt8]) -> [(type: UInt16, body: [UInt8])] {
        var messages: [(UInt16, [UInt8])] = []
        var rest = bytes[...]
        while let length = Array(rest.prefix(4)).integer(UInt32.self, at: 0), length >= 16, Int(length) <= rest.count {
            let message = Array(rest.prefix(Int(length)))
            messages.append((message.integer(UInt16.self, at: 4) ?? 0, Array(message.dropFirst(16))))
            rest = rest.dropFirst((Int(length) + 3) & ~3)
        }
        return messages
    }

    /// The attributes behind a head of this size, by their numbers.
    static func attributes(_ body: [UInt8], head: Int) -> [UInt16: [UInt8]] {
        var found: [UInt16: [UInt8]] = [:]
        var rest = body.dropFirst(head)
        while rest.count >= 4 {
            let start = Array(rest.prefix(4))
            guard let length = start.integer(UInt16.self, at: 0), let type = start.integer(UInt16.self, at: 2),
                length >= 4, Int(length) <= rest.count
            else { break }
            // The upper two bits tell of nesting and byte order.
            found[type & 0x3FFF] = Array(rest.prefix(Int(length)).dropFirst(4))
            rest = rest.dropFirst((Int(length) + 3) & ~3)
        }
        return found
    }
}

extension FixedWidthInteger {
    /// In the byte order of this machine.
    fileprivate var octets: [UInt8] { withUnsafeBytes(of: self) { Array($0) } }
}

extension [UInt8] {
    func integer<Number: FixedWidthInteger>(_ type: Number.Type, at offset: Int) -> Number? {
        guard offset >= 0, offset + MemoryLayout<Number>.size <= count else { return nil }
        return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: Number.self) }
    }
}
