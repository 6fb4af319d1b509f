internal import CLinux
internal import Glibc
internal import LinuxSystem

/// systemd's manager, as seen over D-Bus (org.freedesktop.systemd1(5)).
struct SystemdBus {
    private static let name = "org.freedesktop.systemd1"
    private static let object = "/org/freedesktop/systemd1"
    private static let manager = "org.freedesktop.systemd1.Manager"
    private static let properties = "org.freedesktop.DBus.Properties"
    /// systemd answers within milliseconds unless it hangs; then nobody should wait for ever.
    private static let patience: UInt64 = 30_000_000_000

    private let connection: DBusConnection

    /// Connects to the manager of the system or of the user, through the bus or, for root without one, directly.
    init(isOfUser: Bool) throws(DBusFailure) {
        let deadline = mlr_monotonic_nanoseconds() + Self.patience
        let address = try isOfUser ? Self.userAddress() : Self.systemAddress()
        let direct = isOfUser ? Self.runtimeDirectory + "/systemd/private" : "/run/systemd/private"
        connection = try Self.connect(address, direct: direct, deadline)
        _ = try connection.call(Self.name, Self.object, Self.manager, "Subscribe")
    }

    private static func connect(
        _ address: String, direct: String, _ deadline: UInt64
    ) throws(DBusFailure) -> DBusConnection {
        do throws(DBusFailure) {
            let bus = try DBusConnection(address, isBus: true, deadline: deadline)
            _ = try bus.call(
                "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch",
                [.string("type='signal',sender='\(name)',interface='\(manager)',member='JobRemoved'")])
            return bus
        } catch {
            guard case .system(let cause) = error,
                cause.errno == .noSuchFile || cause.errno == .connectionRefused, File.exists(direct)
            else { throw error }
            return try DBusConnection(direct, isBus: false, deadline: deadline)
        }
    }

    private static var runtimeDirectory: String {
        getenv("XDG_RUNTIME_DIR").map { String(cString: $0) } ?? "/run/user/\(geteuid())"
    }

    private static func systemAddress() throws(DBusFailure) -> String {
        guard let given = getenv("DBUS_SYSTEM_BUS_ADDRESS") else { return "/run/dbus/system_bus_socket" }
        return try path(String(cString: given))
    }

    private static func userAddress() throws(DBusFailure) -> String {
        guard let given = getenv("DBUS_SESSION_BUS_ADDRESS") else { return runtimeDirectory + "/bus" }
        return try path(String(cString: given))
    }

    /// The socket of an address such as `unix:path=/run/bus,guid=0`; of several the first that is a path.
    static func path(_ address: String) throws(DBusFailure) -> String {
        for choice in address.split(separator: ";") where choice.hasPrefix("unix:") {
            for part in choice.dropFirst("unix:".utf8.count).split(separator: ",") where part.hasPrefix("path=") {
                return unescape(part.dropFirst("path=".utf8.count))
            }
        }
        throw .refused(address, "only addresses of the form unix:path=… are supported")
    }

    private static func unescape(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            let digits = Substring(rest.prefix(2))
            if byte == UInt8(ascii: "%"), digits.utf8.count == 2, let value = UInt8(digits, radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    // MARK: Questions

    /// systemd's major version, 0 if it does not tell.
    func version() throws(DBusFailure) -> Int {
        let answer = try connection.call(
            Self.name, Self.object, Self.properties, "Get", [.string(Self.manager), .string("Version")])
        let digits = (answer.first?.text ?? "").drop { !$0.isNumber }.prefix { $0.isNumber }
        return Int(digits) ?? 0
    }

    /// The path of a unit's group below the hierarchy.
    func controlGroup(of unit: String) throws(DBusFailure) -> String {
        let object = try connection.call(Self.name, Self.object, Self.manager, "GetUnit", [.string(unit)]).first?.text
        let interface = unit.hasSuffix(".slice") ? "org.freedesktop.systemd1.Slice" : "org.freedesktop.systemd1.Scope"
        let answer = try connection.call(
            Self.name, object ?? "/", Self.properties, "Get", [.string(interface), .string("ControlGroup")])
        guard let path = answer.first?.text, path.hasPrefix("/"), !path.split(separator: "/").contains("..") else {
            throw .refused("systemd", "it gave \(unit) no cgroup")
        }
        return path
    }

    // MARK: Units

    /// Starts a transient unit and waits until it is there. A failed one of the same name is cleared away first.
    func start(_ unit: String, _ properties: [SystemdProperties.Property]) throws(DBusFailure) {
        let body: [DBusValue] = [
            .string(unit), .string("replace"), SystemdProperties.array(properties), .array(of: "(sa(sv))", []),
        ]
        let job: String?
        do throws(DBusFailure) {
            job = try connection.call(Self.name, Self.object, Self.manager, "StartTransientUnit", body).first?.text
        } catch {
            guard case .method(_, name: "org.freedesktop.systemd1.UnitExists", _) = error else { throw error }
            try resetFailed(unit)
            job = try connection.call(Self.name, Self.object, Self.manager, "StartTransientUnit", body).first?.text
        }
        try wait(for: job, of: unit)
    }

    /// Changes properties until the next boot.
    func set(_ unit: String, _ properties: [SystemdProperties.Property]) throws(DBusFailure) {
        _ = try connection.call(
            Self.name, Self.object, Self.manager, "SetUnitProperties",
            [.string(unit), .bool(true), SystemdProperties.array(properties)])
    }

    /// Stops a unit and waits for its end.
    func stop(_ unit: String) throws(DBusFailure) {
        let job = try connection.call(
            Self.name, Self.object, Self.manager, "StopUnit", [.string(unit), .string("replace")]
        ).first?.text
        try wait(for: job, of: unit)
    }

    /// Forgets that a unit failed.
    func resetFailed(_ unit: String) throws(DBusFailure) {
        _ = try connection.call(Self.name, Self.object, Self.manager, "ResetFailedUnit", [.string(unit)])
    }

    private func wait(for job: String?, of unit: String) throws(DBusFailure) {
        guard let job else { throw .refused("systemd", "it gave no job for \(unit)") }
        let result = try connection.signal { message -> String? in
            guard message.member == "JobRemoved", message.body.count >= 4, message.body[1].text == job else {
                return nil
            }
            return message.body[3].text ?? "unknown"
        }
        if result != "done" { throw .job(unit: unit, result: result) }
    }
}
