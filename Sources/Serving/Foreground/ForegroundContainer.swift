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

    /// Launches a container from an image in the store; returns when its program runs. A program that does so without a
    /// user namespace calls `SealedProgram.enter()` first, or the container could overwrite it.
    ///
    /// - Throws: ``ControlError``: with exit code 127 when the program is not there, 126 when it cannot be executed, else
    ///   125; nothing is left of the container then.
    public static func launch(
        _ settings: ServiceSettings, _ image: ImageRecord, _ streams: ReplicaCommand.Streams,
        _ directories: MLRunDirectories
    ) throws(ControlError) -> ForegroundContainer {
        let place = try Place.take(directories)
        let host = try HostSnapshot(directories)
        let id = ReplicaID("run-\(File.randomName().prefix(12))")
        let files = ServiceFiles(directories, name: id.rawValue).replica(id)
        let assembly = ContainerAssembly(
            directories: directories, host: host, settings: settings, image: image, files: files, taken: [])
        let cgroup = Cgroup(path: host.hierarchy.mountPoint + host.cgroupPath(id))
        do throws(ControlError) {
            var prepared = try assembly.prepare(
                id, slot: place.slot, terminal: streams.isTerminal, endsWithLauncher: true)
            prepared.request.streams = try streams.launchStreams()
            let process: ContainerProcess
            do throws(LaunchError) { process = try Launcher.launch(prepared.request) } catch {
                throw ContainerAssembly.failure(error)
            }
            return ForegroundContainer(
                process: process, warnings: prepared.warnings, files: files, cgroup: cgroup, place: place)
        } catch {
            try? Self.remove(files, cgroup)
            throw error
        }
    }

    /// Ends what is left of the container and removes what it wrote.
    public func remove() throws(ControlError) { try Self.remove(files, cgroup) }

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

        private init(slot: Int, lock: consuming FileLock) {
            self.slot = slot
            self.lock = lock
        }

        /// Above those that the supervisor gives, which begin at 0.
        private static let first = 12_288
        private static let count = 4096

        static func take(_ directories: MLRunDirectories) throws(ControlError) -> Place {
            do throws(SystemError) {
                let directory = "\(directories.state)/ranges"
                try File.makeDirectories(directory, mode: 0o700)
                for slot in first..<first + count {
                    if let lock = try FileLock(trying: "\(directory)/\(slot)", exclusive: true) {
                        return Place(slot: slot, lock: lock)
                    }
                }
            } catch {
                throw ControlError(error, remedy: "run mlrun as root, or set MLRUN_STATE to a directory you own")
            }
            throw ControlError("\(count) containers run in the foreground, which is all there are ids for")
        }
    }
}
