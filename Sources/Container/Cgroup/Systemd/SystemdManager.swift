internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Groups that systemd makes: a scope for each container, asked for over D-Bus.
///
/// The scope is made around a placeholder that does nothing, so that the container is born in it with its limits and
/// device rules in force. systemd is told all of them too: what it writes again on its own, as at `systemctl
/// daemon-reload`, is then what is there already.
enum SystemdManager {
    static func create(
        _ request: ContainerCgroup.Request, on host: HostCgroups
    ) throws(CgroupError) -> (group: ContainerCgroup, warnings: [String]) {
        guard let mount = host.unifiedMount else {
            throw CgroupError(
                .unavailable, "--systemd-cgroup needs cgroup v2, which this host does not have mounted",
                remedy: "boot with systemd.unified_cgroup_hierarchy=1, or leave --systemd-cgroup out")
        }
        let isOfUser = !isRootOfHost
        let place = try CgroupPath.Unit(request, isOfUser: isOfUser)
        let unit = SystemdUnit(name: place.name, isOfUser: isOfUser)
        let extra = try SystemdAnnotations.properties(request.annotations)
        let settings = try CgroupLimits.settings(for: request.resources, killsWholeGroup: false, current: { _ in nil })
        let devices = try SystemdProperties.devices(request.deviceRules)

        let placeholder = place.isSlice ? nil : try Placeholder()
        let group: ContainerCgroup
        do throws(DBusFailure) {
            let bus = try SystemdBus(isOfUser: isOfUser)
            var properties = SystemdProperties.placement(place, id: request.id, process: placeholder?.pid)
            properties += try SystemdProperties.limits(settings, version: try bus.version()) + devices + extra
            try bus.start(unit.name, properties)
            let path = try bus.controlGroup(of: unit.name)
            group = ContainerCgroup(
                unified: Cgroup(path: mount + path), unit: unit, path: path,
                keeper: placeholder.map {
                    .init(
                        placeholder: $0, processes: request.resources.pids?.limit.flatMap(CgroupLimits.processes))
                })
        } catch {
            throw failure(error, isOfUser: isOfUser)
        }
        do throws(CgroupError) {
            guard group.unified?.exists == true else {
                throw CgroupError(
                    .unavailable, "systemd made the cgroup \(group.path), which is not to be seen below \(mount)",
                    remedy: "run where the host's cgroup2 hierarchy is mounted")
            }
            let warnings = try group.applyUnified(request.resources, on: host)
            try group.filterDevices(request)
            group.makeRoomForPlaceholder()
            return (group, try warnings + group.delegate(request))
        } catch {
            placeholder?.end()
            try? group.remove()
            throw error
        }
    }

    /// Tells systemd of limits that have changed.
    static func update(
        _ unit: SystemdUnit, _ group: Cgroup, _ resources: RuntimeSpec.Resources
    ) throws(CgroupError) {
        let settings = try CgroupLimits.settings(for: resources, killsWholeGroup: false) {
            try? group.readIfPresent($0)
        }
        let devices = try SystemdProperties.devices(resources.devices)
        do throws(DBusFailure) {
            let bus = try SystemdBus(isOfUser: unit.isOfUser)
            let properties = try SystemdProperties.limits(settings, version: try bus.version()) + devices
            if !properties.isEmpty { try bus.set(unit.name, properties) }
        } catch {
            throw failure(error, isOfUser: unit.isOfUser)
        }
    }

    /// Lets systemd know that the scope is over, so that its name can be used again at once. One that it does not know
    /// any more is no error, and a systemd that cannot be reached finds the empty group by itself.
    static func forget(_ unit: SystemdUnit) {
        guard let bus = try? SystemdBus(isOfUser: unit.isOfUser) else { return }
        try? bus.stop(unit.name)
        try? bus.resetFailed(unit.name)
    }

    /// Root of the host has the system's manager; everybody else, also root of a user namespace, has one of their own.
    static var isRootOfHost: Bool {
        guard geteuid() == 0, let map = try? File.readText("/proc/self/uid_map") else { return false }
        return map.split(whereSeparator: \.isWhitespace).elementsEqual(["0", "0", "4294967295"])
    }

    private static func failure(_ error: DBusFailure, isOfUser: Bool) -> CgroupError {
        let whose = isOfUser ? "the user's systemd" : "systemd"
        switch error {
        case .system(let cause):
            return CgroupError(
                .unavailable, "cannot ask \(whose) for a cgroup: \(cause)",
                remedy: isOfUser
                    ? "log in with a session of systemd (loginctl enable-linger), or leave --systemd-cgroup out"
                    : "is systemd this host's first process? If not, leave --systemd-cgroup out")
        case .refused:
            return CgroupError(.unavailable, "cannot ask \(whose) for a cgroup: \(error)", remedy: nil)
        case .method(let member, let name, _):
            let remedy: String? =
                switch name {
                case "org.freedesktop.DBus.Error.AccessDenied",
                    "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired":
                    "run as root, or with the user's own manager"
                case "org.freedesktop.systemd1.UnitExists":
                    "choose another cgroupsPath, or stop the unit with systemctl stop"
                default: nil
                }
            return CgroupError(.unavailable, "\(whose) refuses \(member): \(error)", remedy: remedy)
        case .job(let unit, let result):
            return CgroupError(
                .unavailable, "\(whose) could not start \(unit): its job ended with \"\(result)\"",
                remedy: "see why with: journalctl -u \(unit)")
        case .value(let cause): return cause
        }
    }
}

/// A process that does nothing but be there.
final class Placeholder: Sendable {
    let pid: Int32
    private let pidfd: SharedDescriptor

    init() throws(CgroupError) {
        var pid: Int32 = 0
        var descriptor: Int32 = -1
        do throws(SystemError) { try check(mlr_start_placeholder(&pid, &descriptor), "create a process") } catch {
            throw CgroupError(error)
        }
        self.pid = pid
        pidfd = SharedDescriptor(taking: descriptor)
    }

    /// May be called any number of times.
    func end() {
        _ = mlr_pidfd_send_signal(pidfd.rawValue, SIGKILL)
        var code: Int32 = 0
        var value: Int32 = 0
        _ = mlr_wait_pidfd(pidfd.rawValue, 0, &code, &value)
    }

    deinit { end() }
}

extension ContainerCgroup {
    /// Keeps a scope alive until its container is in it; no part of what the group is.
    struct Keeper: Sendable, Equatable {
        let placeholder: Placeholder
        /// The limit of processes, among which the placeholder is not to count.
        let processes: Int64?

        static func == (left: Keeper, right: Keeper) -> Bool { true }
    }

    func makeRoomForPlaceholder() {
        guard let limit = keeper?.processes, limit < Int64.max else { return }
        _ = unified?.write(String(limit + 1), to: "pids.max")
    }

    func endPlaceholder() {
        guard let keeper else { return }
        keeper.placeholder.end()
        if let limit = keeper.processes { _ = unified?.write(String(limit), to: "pids.max") }
    }
}
