internal import CLinux
internal import Glibc
internal import NIOCore
internal import Synchronization

/// How many connections clients may have at a time, all together and each of them.
public struct ConnectionLimits: Sendable, Equatable {
    /// Of all clients.
    public var total: Int
    /// Of one: an IPv4 address, or the /64 that an IPv6 address is in.
    public var perClient: Int

    public init(total: Int, perClient: Int) {
        self.total = total
        self.perClient = perClient
    }

    /// What a process that may open so many descriptors can carry: a connection takes one for the client and one for the
    /// upstream. Half of that for one client, so that nobody can shut all others out.
    public init(descriptors: UInt64) {
        let total = Int(min(16_384, max(32, (descriptors > 128 ? descriptors - 128 : 0) / 2)))
        self.init(total: total, perClient: total / 2)
    }
}

/// Counts the connections of clients on all event loops, and says no to those that are too many.
final class Admission: Sendable {
    enum Answer: Equatable {
        case admitted
        /// To be told so.
        case refused(String)
        /// To be closed without a word: too many are being told already.
        case overrun
    }

    private struct Counts {
        var total = 0
        /// When the last connection came or went.
        var lastChange: UInt64 = 0
        /// Whether somebody has been told that none is left and has not looked yet.
        var isReported = false
        var clients: [UInt64: Int] = [:]
    }

    private let limits: ConnectionLimits
    private let counts = Mutex(Counts())

    init(_ limits: ConnectionLimits) { self.limits = limits }

    /// Whoever is admitted must ``leave(_:)``.
    func admit(_ client: Client) -> Answer {
        counts.withLock { counts in
            guard counts.total < limits.total else {
                return .refused("the gateway has as many connections as it may (\(limits.total))")
            }
            if let key = client.key {
                let own = counts.clients[key, default: 0]
                guard own < limits.perClient else {
                    return .refused("this client has as many connections as it may (\(limits.perClient))")
                }
                counts.clients[key] = own + 1
            }
            counts.total += 1
            counts.lastChange = mlr_monotonic_nanoseconds()
            return .admitted
        }
    }

    /// - Returns: whether somebody should look at ``restsFor()`` before long.
    func leave(_ client: Client) -> Bool {
        counts.withLock { counts in
            counts.total -= 1
            counts.lastChange = mlr_monotonic_nanoseconds()
            if let key = client.key, let own = counts.clients[key] { counts.clients[key] = own > 1 ? own - 1 : nil }
            guard counts.total == 0, !counts.isReported else { return false }
            counts.isReported = true
            return true
        }
    }

    /// For how many nanoseconds there has been no connection; nil where there is one, whose end is reported.
    func restsFor() -> UInt64? {
        counts.withLock { counts in
            if counts.total > 0 {
                counts.isReported = false
                return nil
            }
            return mlr_monotonic_nanoseconds() - counts.lastChange
        }
    }

    /// Whoever was told is done: the next time that no connection is left is reported again.
    func looked() { counts.withLock { $0.isReported = false } }

    /// Who a connection is counted for.
    struct Client: Sendable, Equatable {
        /// nil where the peer has no address of its own.
        fileprivate let key: UInt64?

        init(_ peer: SocketAddress?) {
            guard let peer, peer.protocol == .inet || peer.protocol == .inet6 else {
                key = nil
                return
            }
            // Where sockaddr_in and sockaddr_in6 have their addresses (ip(7), ipv6(7)).
            key = peer.withSockAddr { address, size in
                let raw = UnsafeRawBufferPointer(start: address, count: size)
                func ipv4(at offset: Int) -> UInt64 {
                    UInt64(UInt32(bigEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
                }
                if peer.protocol == .inet { return ipv4(at: 4) }
                // An IPv4 client of a dual-stack listener counts as what it is.
                let isMapped = raw[8..<18].allSatisfy { $0 == 0 } && raw[18] == 0xFF && raw[19] == 0xFF
                if isMapped { return ipv4(at: 20) }
                // Never a number that is an IPv4 address too: those are below 2^32, and ::/64 is loopback's.
                let network = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                return network == 0 ? .max : network
            }
        }
    }
}
