internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Moves network devices of the host into a container's network namespace (runtime-spec, config-linux.md, `netDevices`).
///
/// They keep all they have, their permanent global addresses too, which the kernel forgets when a device moves. Taking them
/// out again is left to the end of the namespace, which gives physical devices back to the host.
struct NetworkDevices {
    private var moved: [Move] = []
    private let namespace: SharedDescriptor
    private let home: SharedDescriptor

    private struct Move {
        let field: String
        let name: String
        let wasUp: Bool
        let addresses: [Address]
        /// Those that were in the container before.
        let others: Set<Int32>
        /// In the container; nil as long as it has not been seen there.
        var index: Int32?
    }

    /// - Parameters:
    ///   - namespace: the container's.
    ///   - home: where the devices are; by default the caller's own.
    init(into namespace: SharedDescriptor, from home: SharedDescriptor? = nil) throws(SystemError) {
        self.namespace = namespace
        if let home {
            self.home = home
        } else {
            self.home = SharedDescriptor(try File.open("/proc/thread-self/ns/net", O_RDONLY))
        }
    }

    /// Moves all of them, or none.
    mutating func move(_ devices: [String: RuntimeSpec.NetworkDevice]) throws(LaunchError) {
        for (name, device) in devices.sorted(by: { $0.key < $1.key }) {
            let field = "linux.netDevices.\(name)"
            do throws(SystemError) { try move(name, as: device.name ?? name, field) } catch {
                giveBack()
                throw .setting(path: field, Self.text(error))
            }
        }
    }

    /// Undoes every move, as far as the kernel lets one: a container that could not be made must cost no device.
    mutating func giveBack() {
        for move in moved.reversed() {
            do throws(SystemError) {
                let inside = try NetlinkSocket(namespace: namespace.rawValue)
                let found = try move.index == nil ? Self.newcomer(inside, beside: move.others) : move.index
                guard let index = found else { continue }
                try Self.transfer(
                    index, from: namespace.rawValue, to: home.rawValue, as: move.name, move.addresses,
                    turnOn: move.wasUp)
            } catch { continue }
        }
        moved = []
    }

    private static func text(_ error: SystemError) -> String {
        switch error.errno {
        case .noSuchDevice: "the host has no network device of this name"
        case .fileExists: "cannot \(error.operation): there is a device of that name already"
        case .notPermitted: "cannot \(error.operation): it takes CAP_NET_ADMIN on both sides"
        default: "cannot \(error.operation): \(LaunchError.reason(error.errno))"
        }
    }

    private mutating func move(_ name: String, as target: String, _ field: String) throws(SystemError) {
        let host = try NetlinkSocket(namespace: home.rawValue)
        let link = try Link.named(name, host)
        let addresses = try Address.all(of: link.index, host).filter(\.isToBeKept)
        let inside = try NetlinkSocket(namespace: namespace.rawValue)
        let present = try Link.all(inside)
        if present.contains(where: { $0.name == target }) {
            throw SystemError("name it \(target) in the container", .fileExists)
        }
        let move = Move(
            field: field, name: name, wasUp: link.isUp, addresses: addresses, others: Set(present.map(\.index)))
        do throws(SystemError) {
            try Link.turn(on: false, link.index, host)
            try Link.send(link.index, to: namespace.rawValue, as: target, host)
        } catch {
            // It may have gone although the kernel's answer did not arrive.
            if let gone = try? Self.newcomer(inside, beside: move.others) {
                moved.append(move)
                moved[moved.count - 1].index = gone
                throw error
            }
            // It is still at home; only what turning it off took is to be restored.
            for address in addresses { try? address.add(to: link.index, host) }
            if link.isUp { try? Link.turn(on: true, link.index, host) }
            throw error
        }
        moved.append(move)
        // Its number may have changed, and its name too if that was a pattern.
        guard let index = try Self.newcomer(inside, beside: move.others) else {
            throw SystemError("find it in the container", .noSuchDevice)
        }
        moved[moved.count - 1].index = index
        for address in addresses { try address.add(to: index, inside) }
        try Link.turn(on: true, index, inside)
    }

    private static func newcomer(
        _ inside: borrowing NetlinkSocket, beside others: Set<Int32>
    ) throws(SystemError) -> Int32? {
        try Link.all(inside).first { !others.contains($0.index) }?.index
    }

    private static func transfer(
        _ index: Int32, from source: Int32, to target: Int32, as name: String, _ addresses: [Address], turnOn: Bool
    ) throws(SystemError) {
        let inside = try NetlinkSocket(namespace: source)
        let host = try NetlinkSocket(namespace: target)
        try Link.turn(on: false, index, inside)
        try Link.send(index, to: target, as: name, inside)
        let link = try Link.named(name, host)
        for address in addresses { try address.add(to: link.index, host) }
        if turnOn { try Link.turn(on: true, link.index, host) }
    }

    // MARK: What rtnetlink knows

    private struct Link {
        let index: Int32
        let name: String
        let isUp: Bool

        init?(_ body: [UInt8]) {
            guard let index = body.integer(Int32.self, at: 4), let flags = body.integer(UInt32.self, at: 8),
                let name = NetlinkMessage.attributes(body, head: 16)[3]
            else { return nil }
            self.index = index
            self.name = String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
            isUp = flags & 1 != 0
        }

        static func named(_ name: String, _ socket: borrowing NetlinkSocket) throws(SystemError) -> Link {
            var message = NetlinkMessage.link(NetlinkMessage.getLink)
            message.add(3, name)
            guard let link = try socket.request(message, "look up the network device").compactMap(Link.init).first
            else {
                throw SystemError("look up the network device", .noSuchDevice)
            }
            return link
        }

        static func all(_ socket: borrowing NetlinkSocket) throws(SystemError) -> [Link] {
            try socket.request(.link(NetlinkMessage.getLink), isDump: true, "list the network devices")
                .compactMap(Link.init)
        }

        static func turn(on: Bool, _ index: Int32, _ socket: borrowing NetlinkSocket) throws(SystemError) {
            _ = try socket.request(
                .link(NetlinkMessage.newLink, index: index, flags: on ? 1 : 0, change: 1),
                "turn it \(on ? "on" : "off")")
        }

        static func send(
            _ index: Int32, to namespace: Int32, as name: String, _ socket: borrowing NetlinkSocket
        ) throws(SystemError) {
            var message = NetlinkMessage.link(NetlinkMessage.newLink, index: index)
            message.add(3, name)
            message.add(28, withUnsafeBytes(of: namespace) { Array($0) })
            _ = try socket.request(message, "move it and name it \(name)")
        }
    }

    private struct Address {
        let head: [UInt8]
        let attributes: [UInt16: [UInt8]]

        var index: UInt32 { head.integer(UInt32.self, at: 4) ?? 0 }
        /// The wider form of the flags, where there is one.
        var flags: UInt32 { attributes[8]?.integer(UInt32.self, at: 0) ?? UInt32(head[2]) }
        /// Meant to last, and for others than this host's link (IFA_F_PERMANENT, RT_SCOPE_UNIVERSE).
        var isToBeKept: Bool { flags & 0x80 != 0 && head[3] == 0 }

        static func all(of index: Int32, _ socket: borrowing NetlinkSocket) throws(SystemError) -> [Address] {
            let message = NetlinkMessage(NetlinkMessage.getAddress, head: [UInt8](repeating: 0, count: 8))
            return try socket.request(message, isDump: true, "list its addresses").compactMap { body in
                guard body.count >= 8 else { return nil }
                let address = Address(head: Array(body[..<8]), attributes: NetlinkMessage.attributes(body, head: 8))
                return address.index == UInt32(bitPattern: index) ? address : nil
            }
        }

        func add(to index: Int32, _ socket: borrowing NetlinkSocket) throws(SystemError) {
            // What was decided for it stays; what the kernel found out about it does not.
            let kept: UInt32 = flags & (0x02 | 0x10 | 0x200 | 0x400)
            let number = withUnsafeBytes(of: UInt32(bitPattern: index)) { Array($0) }
            var message = NetlinkMessage(
                NetlinkMessage.newAddress, head: [head[0], head[1], UInt8(truncatingIfNeeded: kept), 0] + number)
            message.creates = true
            for attribute: UInt16 in [1, 2, 4, 9] {
                if let value = attributes[attribute] { message.add(attribute, value) }
            }
            message.add(8, withUnsafeBytes(of: kept) { Array($0) })
            _ = try socket.request(message, "give it its address again")
        }
    }
}
