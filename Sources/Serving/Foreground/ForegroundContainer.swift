internal import CLinux
public import Container
internal import Glibc
public import ImageStore
public import LinuxSystem
public import OCISpec

/// A container that lives no longer than the program that started it, as `mlrun run` makes it: no supervisor, no gateway,
/// no restart.
public struct ForegroundContainer: Sendable {
    /// Its first process.
    public let process: ContainerProcess
    /// Limits that were asked for and could not be set, under `--limits=best-effort`.
    public let warnings: [String]
    private let files: ReplicaFiles
    private let cgroup: Cgroup
    private let place: Place
    private let published: ForegroundPorts?
    /// Its published ports, with the numbers that the kernel chose.
    public let ports: [PublishedPort]
    /// What it runs from stays as long as it runs.
    private let pins: LayerPins

    /// Launches a container from an image in the store; returns when its program runs. A program that does so without a
    /// user namespace calls `SealedProgram.enter()` first, or the container could overwrite it.
    ///
    /// - Throws: ``ControlError``: with exit code 127 when the program is not there, 126 when it cannot be executed, else
    ///   125; nothing is left of the container then.
    public static func launch(
        _ settings: ServiceSettings, _ image: ImageRecord, _ streams: ReplicaCommand.Streams,
        _ directories: MLRunDirectories
    ) throws(ControlError) -> ForegroundContainer {
        let problems = settings.problems()
        if !problems.isEmpty {
            throw ControlError(
                "the settings are not valid: \(problems.map(\.description).joined(separator: "; "))",
                remedy: "correct them and run it again")
        }
        try ReplicaNetwork.check(settings)
        let listeners = try ForegroundPorts.bind(settings.ports)
        let place = try Place.take(directories)
        let host = try HostSnapshot(directories)
        // A program that was killed has left its container running: nobody else may get its range of ids before it is gone.
        try removeAbandoned(directories, host) { $0 == place.slot }
        let id = ReplicaID("\(namePrefix)\(place.slot)-\(File.randomName().prefix(8))")
        let files = ServiceFiles(directories, name: id.rawValue).replica(id)
        let pins = try keep(image, for: files, directories)
        let assembly = ContainerAssembly(
            directories: directories, host: host, settings: settings, image: image, files: files, taken: [])
        let cgroup = Cgroup(path: host.hierarchy.mountPoint + host.cgroupPath(id))
        do throws(ControlError) {
            var prepared = try assembly.prepare(
                id, slot: place.slot, terminal: streams.isTerminal, endsWithLauncher: true)
            prepared.request.streams = try streams.launchStreams()
            let network = prepared.network
            prepared.request.whenCreated = { process throws(LaunchError) in try network?.attach(process) }
            let process: ContainerProcess
            do throws(LaunchError) { process = try Launcher.launch(prepared.request) } catch {
                throw network?.failure ?? ContainerAssembly.failure(error)
            }
            let published =
                listeners.isEmpty ? nil : try ForegroundPorts.open(listeners, process, settings, files)
            return ForegroundContainer(
                process: process, warnings: prepared.warnings, files: files, cgroup: cgroup, place: place,
                published: published, ports: listeners.map(\.port), pins: pins)
        } catch {
            try? Self.remove(files, cgroup)
            throw error
        }
    }

    /// Keeps an image from being removed, and says so to those who ask who uses it.
    private static func keep(
        _ image: ImageRecord, for files: ReplicaFiles, _ directories: MLRunDirectories
    ) throws(ControlError) -> LayerPins {
        do throws(StoreError) {
            let pins = try ImageStore(directories).pinLayers(image.layers.map(\.digest))
            do throws(SystemError) {
                try File.makeDirectories(files.directory, mode: 0o700)
                try File.replace(files.image, with: Array(image.manifestDigest.description.utf8), durable: false)
            } catch {
                throw .system(error)
            }
            return pins
        } catch {
            throw ControlError(error.description, remedy: error.remedy)
        }
    }

    /// A container in the foreground that runs now, seen from another program.
    public struct Running: Sendable {
        /// Its directory's name.
        public let name: String
        /// The digest of its image's manifest.
        public let manifest: Digest
    }

    /// The containers in the foreground whose programs live.
    public static func running(_ directories: MLRunDirectories) throws(ControlError) -> [Running] {
        var running: [Running] = []
        do throws(SystemError) {
            guard File.exists(directories.services) else { return [] }
            for name in try File.list(directories.services).sorted() {
                guard let slot = slot(ofName: name),
                    let text = try? File.readText(ServiceFiles(directories, name: name).replica(ReplicaID(name)).image),
                    let manifest = Digest(text), File.exists("\(directories.state)/ranges/\(slot)"),
                    try Place(trying: slot, directories) == nil
                else { continue }
                running.append(Running(name: name, manifest: manifest))
            }
        } catch {
            throw ControlError(error)
        }
        return running
    }

    private static let namePrefix = "run-"

    /// Whether a directory of this name may be that of a container in the foreground.
    static func isName(_ name: String) -> Bool { slot(ofName: name) != nil }

    private static func slot(ofName name: String) -> Int? {
        guard name.hasPrefix(namePrefix) else { return nil }
        let slot = name.dropFirst(namePrefix.count).split(separator: "-").first.flatMap { Int($0) }
        return slot.flatMap { HostIDRegistry.ranges.contains($0) ? $0 : nil }
    }

    /// Ends and removes the containers of programs that were killed before they could do it themselves.
    public static func removeAbandoned(_ directories: MLRunDirectories) throws(ControlError) {
        try removeAbandoned(directories, try HostSnapshot(directories))
    }

    static func removeAbandoned(_ directories: MLRunDirectories, _ host: HostSnapshot) throws(ControlError) {
        try removeAbandoned(directories, host) { _ in false }
    }

    /// - Parameter isOurs: whether the caller holds the lock of a slot.
    private static func removeAbandoned(
        _ directories: MLRunDirectories, _ host: HostSnapshot, isOurs: (Int) -> Bool
    ) throws(ControlError) {
        let names: [String]
        do throws(SystemError) {
            names = File.exists(directories.services) ? try File.list(directories.services) : []
        } catch {
            throw ControlError(error)
        }
        for name in names {
            // A service may have such a name too; it has a record.
            let service = ServiceFiles(directories, name: name)
            guard let slot = slot(ofName: name), !File.exists(service.record) else { continue }
            let lock: Place?
            do throws(SystemError) { lock = isOurs(slot) ? nil : try Place(trying: slot, directories) } catch {
                throw ControlError(error)
            }
            guard isOurs(slot) || lock != nil else { continue }
            let id = ReplicaID(name)
            try remove(service.replica(id), Cgroup(path: host.hierarchy.mountPoint + host.cgroupPath(id)))
            withExtendedLifetime(lock) {}
        }
    }

    /// Ends what is left of the container and removes what it wrote.
    public func remove() throws(ControlError) {
        published?.end()
        try Self.remove(files, cgroup)
    }

    private static func remove(_ files: ReplicaFiles, _ cgroup: Cgroup) throws(ControlError) {
        do throws(CgroupError) {
            if cgroup.exists {
                try cgroup.kill()
                _ = try cgroup.waitUntilEmpty(deadline: mlr_monotonic_nanoseconds() + 5_000_000_000)
                try cgroup.remove()
            }
        } catch {
            throw ControlError(error.cause, remedy: error.remedy)
        }
        try ReplicaNetwork.release(files)
        do throws(SystemError) {
            try File.removeTree(files.runtimeDirectory)
            try File.removeTree(File.parent(of: File.parent(of: files.directory)))
        } catch {
            throw ControlError(error)
        }
    }

    /// A range of host ids that no other container in the foreground has, until it is given up.
    private final class Place: Sendable {
        let slot: Int
        private let lock: FileLock

        /// Nil when another program has it.
        init?(trying slot: Int, _ directories: MLRunDirectories) throws(SystemError) {
            try File.makeDirectories("\(directories.locks)/ranges", mode: 0o700)
            guard let lock = try FileLock(trying: "\(directories.locks)/ranges/\(slot)", exclusive: true) else {
                return nil
            }
            self.slot = slot
            self.lock = lock
        }

        static func take(_ directories: MLRunDirectories) throws(ControlError) -> Place {
            let registry = HostIDRegistry(directories, .foreground)
            var slots = try registry.owned()
            while true {
                do throws(SystemError) {
                    for slot in slots {
                        if let place = try Place(trying: slot, directories) { return place }
                    }
                } catch {
                    throw ControlError(error, remedy: "run mlrun as root, or set MLRUN_ROOT to a directory you own")
                }
                slots = try registry.acquire()
            }
        }
    }
}
