internal import CLinux
public import Container
internal import Glibc
internal import ImageStore
public import LinuxSystem
public import OCISpec

/// A command to run beside the program of a replica, as `mlrun exec` does: in its namespaces, its cgroup, under its
/// seccomp filter and with its capabilities. Needs no supervisor.
public struct ReplicaCommand: Sendable {
    /// What the command has as standard input, output and error.
    public enum Streams: Sendable {
        /// Those of the calling process; without `input`, standard input is empty.
        case inherited(input: Bool)
        /// A terminal of its own, of this size.
        case terminal(RuntimeSpec.ConsoleSize?)
    }

    /// The command and its arguments.
    public var arguments: [String]
    /// `NAME=value`, before the replica's own.
    public var environment: [String] = []
    /// nil for the replica's.
    public var workingDirectory: String?
    /// `user[:group]`; nil for the replica's.
    public var user: String?
    /// Where its input comes from and its output goes.
    public var streams = Streams.inherited(input: false)

    public init(_ arguments: [String]) { self.arguments = arguments }

    /// Starts the command and returns while it runs.
    ///
    /// - Throws: ``ControlError``: with exit code 127 when the program is not there, 126 when it cannot be executed.
    public func start(
        in replica: ReplicaRecord, _ directories: MLRunDirectories
    ) throws(ControlError) -> ContainerProcess {
        guard let container = try Self.container(of: replica) else {
            throw ControlError(
                "\(replica.service) does not run", remedy: "`mlrun start` or `mlrun restart` it", exitCode: 1)
        }
        let host = try HostSnapshot(directories)
        let build = try build(replica, container, directories, host)
        guard let process = build.spec.process else { throw ControlError("\(replica.service) has no process") }
        var request = ExecRequest(
            container: container, linux: build.spec.linux, host: host.facts, process: process)
        request.seccompCache = directories.seccompCache
        request.keyring = ContainerAssembly.keyring(of: replica.id)
        request.streams = try streams.launchStreams()
        do throws(CgroupError) {
            request.cgroup = SharedDescriptor(try Cgroup(path: replica.cgroup).openDirectory())
        } catch {
            throw ControlError(error.cause, remedy: error.remedy)
        }
        do throws(LaunchError) { return try ContainerExec.run(request) } catch {
            throw ControlError(error.description, exitCode: error.exitCode)
        }
    }

    /// Whether a container could reach the calling program through a command that is started in it, so that it must run
    /// sealed (``SealedProgram``): one without a user namespace.
    public static func needsSealedProgram(
        _ replica: ReplicaRecord, _ directories: MLRunDirectories
    ) throws(ControlError) -> Bool {
        try ServiceSettings.recorded(ServiceFiles(directories, name: replica.service)).usesHostUserNamespace
    }

    private static func container(of replica: ReplicaRecord) throws(ControlError) -> ContainerProcess? {
        guard let process = replica.process else { return nil }
        do throws(SystemError) {
            return try ContainerProcess.adopt(pid: process.pid, startTime: process.startTime)
        } catch {
            throw ControlError(error)
        }
    }

    /// The replica's container once more, with this command in place of its program.
    private func build(
        _ replica: ReplicaRecord, _ container: ContainerProcess, _ directories: MLRunDirectories, _ host: HostSnapshot
    ) throws(ControlError) -> ContainerBuild {
        var settings = try ServiceSettings.recorded(ServiceFiles(directories, name: replica.service))
        settings.entrypoint = []
        settings.usesInit = false
        settings.arguments = arguments
        settings.environment += environment
        if let workingDirectory { settings.workingDirectory = workingDirectory }
        if let user { settings.user = user }
        let image: ImageRecord
        do throws(StoreError) { image = try ImageStore(directories).existingImage(replica.image) } catch {
            throw ControlError(error.description, remedy: error.remedy)
        }
        var facts = host.buildFacts(replica.id, slot: replica.slot, taken: [], devices: settings.limits.ioDevices)
        facts.terminal = streams.isTerminal
        do throws(BuildError) {
            var build = try ContainerBuilder.build(image.configuration, settings, facts)
            build.resolve(try Self.resolve(build.user, in: container))
            return build
        } catch {
            throw ControlError(error.message, remedy: error.remedy)
        }
    }

    private static func resolve(_ user: String, in container: ContainerProcess) throws(BuildError) -> ResolvedUser {
        func failure(_ cause: String) -> BuildError {
            BuildError("user", cause, remedy: "give a user of the image, or numbers, with --user")
        }
        let root: OwnedDescriptor
        do throws(SystemError) {
            root = try File.open("/proc/\(container.pid)/root", MLR_O_PATH | O_DIRECTORY)
        } catch {
            throw failure(error.description)
        }
        do throws(UserError) { return try UserLookup.resolve(user, root: root.rawValue) } catch {
            throw failure(error.description)
        }
    }
}

extension ReplicaCommand.Streams {
    var isTerminal: Bool { if case .terminal = self { true } else { false } }

    func launchStreams() throws(ControlError) -> LaunchRequest.Streams {
        switch self {
        case .terminal(let size): return .console(size)
        case .inherited(input: true): return .inherited
        case .inherited(input: false):
            do throws(SystemError) {
                return .files(input: nil, output: try .copy(of: STDOUT_FILENO), error: try .copy(of: STDERR_FILENO))
            } catch {
                throw ControlError(error)
            }
        }
    }
}

extension SharedDescriptor {
    /// An owner of a second descriptor for a file that somebody else has open.
    static func copy(of descriptor: Int32) throws(SystemError) -> SharedDescriptor {
        SharedDescriptor(taking: try check(mlr_dup_cloexec(descriptor, 3), "duplicate a descriptor"))
    }
}

extension ServiceSettings {
    /// What a service was last started with.
    static func recorded(_ files: ServiceFiles) throws(ControlError) -> ServiceSettings {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try File.read(files.record) } catch {
            throw ControlError("there is no service \(files.name)", remedy: "`mlrun ps --all` lists them", exitCode: 1)
        }
        do throws(JSONError) {
            return try ServiceSettings(JSONCursor(JSON(parsing: bytes)).required("settings"))
        } catch {
            throw ControlError("\(files.record) is damaged: \(error)", remedy: "start the service again")
        }
    }
}

extension ReplicaRecord {
    /// The records of a service's replicas whose program runs now.
    public static func running(_ service: ServiceFiles) -> [ReplicaRecord] {
        let names = (try? File.list("\(service.directory)/replicas")) ?? []
        return names.sorted().compactMap { name in
            guard let record = ReplicaRecord.read(service.replica(ReplicaID(name))), let process = record.process,
                (try? ContainerProcess.adopt(pid: process.pid, startTime: process.startTime)) != nil
            else { return nil }
            return record
        }
    }
}
