internal import CLinux
public import Container
internal import Glibc
internal import ImageStore
public import LinuxSystem
public import OCISpec

/// A replica that runs, found through the files that its supervisor keeps: for programs that look into it, run commands
/// in it or measure it, whether or not a supervisor runs.
public struct RunningReplica: Sendable {
    /// What the supervisor wrote down of it.
    public let record: ReplicaRecord
    /// Those of its service.
    public let settings: ServiceSettings
    /// The first process.
    public let container: ContainerProcess
    private let image: ImageRecord
    private let host: HostSnapshot

    /// Its control group.
    public var cgroup: Cgroup { Cgroup(path: record.cgroup) }
    /// What this host can do, as ``ExecRequest`` wants to know it.
    public var hostFacts: HostFacts { host.facts }

    /// The newest replica of a service that has a process.
    /// - Throws: ``ControlError`` when there is no such service or nothing of it runs.
    public static func find(_ directories: MLRunDirectories, service: String) throws(ControlError) -> RunningReplica {
        let files = ServiceFiles(directories, name: service)
        guard File.exists(files.record) else {
            throw ControlError("there is no service \(service)", remedy: "mlrun ps -a shows all services", exitCode: 1)
        }
        let settings: ServiceSettings
        do {
            let cursor = JSONCursor(try JSON(parsing: try File.read(files.record)))
            settings = try ServiceSettings(try cursor.required("settings"))
        } catch {
            throw ControlError("the record of the service \(service) is not understood: \(error)")
        }
        guard let (record, container) = try newest(files) else {
            throw ControlError(
                "no replica of \(service) runs", remedy: "mlrun ps shows its state, mlrun logs \(service) its output",
                exitCode: 1)
        }
        return RunningReplica(
            record: record, settings: settings, container: container,
            image: try ServiceRunner.findImage(settings, directories), host: try HostSnapshot(directories))
    }

    private static func newest(_ files: ServiceFiles) throws(ControlError) -> (ReplicaRecord, ContainerProcess)? {
        do throws(SystemError) {
            let directory = "\(files.directory)/replicas"
            guard File.exists(directory) else { return nil }
            let records = try File.list(directory).compactMap { ReplicaRecord.read(files.replica(ReplicaID($0))) }
            for record in records.sorted(by: { ($0.startedAt ?? 0) > ($1.startedAt ?? 0) }) {
                guard let identity = record.process else { continue }
                if let process = try ContainerProcess.adopt(pid: identity.pid, startTime: identity.startTime) {
                    return (record, process)
                }
            }
            return nil
        } catch {
            throw ControlError(error)
        }
    }

    /// A process like the service's own, with its environment, user, capabilities and filter, but another command.
    ///
    /// - Parameter user: `user[:group]`, looked up in the container; nil for the service's own.
    public func process(
        _ command: [String], user: String? = nil
    ) throws(ControlError) -> (process: RuntimeSpec.Process, linux: RuntimeSpec.Linux?) {
        do throws(BuildError) {
            var result = try Self.process(command, record, settings, image, host)
            if let user {
                let found = try lookUp(user)
                result.process.user = RuntimeSpec.User(
                    uid: found.uid, gid: found.gid, additionalGids: found.additionalGIDs)
            }
            return result
        } catch {
            throw ControlError(error.message, remedy: error.remedy)
        }
    }

    private func lookUp(_ user: String) throws(BuildError) -> ResolvedUser {
        do {
            let root = try File.open("/proc/\(container.pid)/root", MLR_O_PATH | O_DIRECTORY)
            return try UserLookup.resolve(user, root: root.rawValue)
        } catch {
            throw BuildError("user", "\(error)", remedy: "give a user of the image, or numbers")
        }
    }

    static func process(
        _ command: [String], _ record: ReplicaRecord, _ settings: ServiceSettings, _ image: ImageRecord,
        _ host: HostSnapshot
    ) throws(BuildError) -> (process: RuntimeSpec.Process, linux: RuntimeSpec.Linux?) {
        let facts = host.buildFacts(record.id, slot: record.slot, taken: [], devices: settings.limits.ioDevices)
        let build = try ContainerBuilder.build(image.configuration, settings, facts)
        guard var process = build.spec.process else {
            throw BuildError("arguments", "the service has no process", remedy: "start it again")
        }
        process.args = command
        if let user = record.user { process.user = user }
        return (process, build.spec.linux)
    }
}
