public import ImageStore
internal import LinuxSystem
internal import OCISpec
internal import Serving

/// What everything that mlrun keeps takes on the disk.
public struct DiskUsage: Sendable {
    /// The writable layer of one replica of a service, or of one container in the foreground.
    public struct Container: Sendable {
        /// Its own.
        public let name: String
        /// Of its service; nil in the foreground.
        public let service: String?
        /// Bytes that it wrote.
        public let size: Int64
        /// Whether it runs. What a service wrote is kept for its next start.
        public let isRunning: Bool
    }

    /// The log of one service.
    public struct Log: Sendable {
        /// The service.
        public let service: String
        /// Bytes of all its files.
        public let size: Int64
    }

    /// Images, layers and what belongs to them.
    public let store: StoreUsage
    /// Sorted by name.
    public let containers: [Container]
    /// Sorted by name.
    public let logs: [Log]

    /// Bytes that containers wrote whose programs were killed.
    public var abandoned: Int64 {
        containers.filter { $0.service == nil && !$0.isRunning }.reduce(0) { $0 + $1.size }
    }
}

extension ModelHost {
    /// Who uses which images: services, by their records, and containers in the foreground. Known also while no mlrund runs.
    public func imageUses() throws(MLRunError) -> ImageUses {
        var users: [String: [String]] = [:]
        do throws(SystemError) {
            for name in try ServiceFiles.names(directories) {
                let record = ServiceFiles(directories, name: name).record
                guard let json = try? JSON(parsing: File.read(record)) else { continue }
                if let digest = json["settings"]?["image"]?["manifestDigest"]?.string {
                    users[digest, default: []].append("the service \(name)")
                }
            }
        } catch {
            throw MLRunError(error)
        }
        do throws(ControlError) {
            for container in try ForegroundContainer.running(directories) {
                users[container.manifest.description, default: []].append("the container \(container.name)")
            }
        } catch {
            throw MLRunError(error)
        }
        if users.isEmpty { return ImageUses() }
        var uses = ImageUses()
        do throws(StoreError) {
            for image in try store.images() {
                for user in users[image.manifestDigest.description] ?? [] {
                    for digest in [image.config] + image.layers.map(\.digest) { uses.add(digest, by: user) }
                }
            }
        } catch {
            throw MLRunError(error)
        }
        return uses
    }

    /// Measures everything that is kept below `MLRUN_ROOT`.
    public func diskUsage() throws(MLRunError) -> DiskUsage {
        let usage: StoreUsage
        let uses = try imageUses()
        do throws(StoreError) { usage = try store.usage(uses: uses) } catch { throw MLRunError(error) }
        let foreground: Set<String>
        do throws(ControlError) { foreground = Set(try ForegroundContainer.running(directories).map(\.name)) } catch {
            throw MLRunError(error)
        }
        let running = Set(try runningReplicas().map(\.id.rawValue))
        var containers: [DiskUsage.Container] = []
        var logs: [DiskUsage.Log] = []
        do throws(SystemError) {
            let names = File.exists(directories.services) ? try File.list(directories.services).sorted() : []
            for name in names {
                let files = ServiceFiles(directories, name: name)
                let isService = File.exists(files.record)
                for replica in try Self.names(in: "\(files.directory)/replicas").sorted() {
                    containers.append(
                        DiskUsage.Container(
                            name: replica, service: isService ? name : nil,
                            size: try File.diskUsage(of: files.replica(ReplicaID(replica)).scratch),
                            isRunning: running.contains(replica) || foreground.contains(replica)))
                }
                guard isService else { continue }
                var log: Int64 = 0
                for file in try Self.names(in: files.directory) where file.hasPrefix("log.") {
                    log += try File.diskUsage(of: "\(files.directory)/\(file)")
                }
                logs.append(DiskUsage.Log(service: name, size: log))
            }
        } catch {
            throw MLRunError(error)
        }
        return DiskUsage(store: usage, containers: containers, logs: logs)
    }

    /// A service may be removed while it is looked at.
    private static func names(in directory: String) throws(SystemError) -> [String] {
        do throws(SystemError) { return try File.list(directory) } catch {
            if error.errno == .noSuchFile { return [] }
            throw error
        }
    }

    /// Removes images that nothing uses, layers and blobs that no image needs, and what killed programs left.
    ///
    /// - Parameters:
    ///   - all: also images that have a reference.
    ///   - before: only images that came before this time, in seconds since 1970.
    ///   - grace: seconds that layers stay which no image needs yet.
    public func prune(
        all: Bool, before: Int64? = nil, grace: Int64 = ImageStore.gracePeriod
    ) throws(MLRunError) -> Removal {
        do throws(ControlError) { try ForegroundContainer.removeAbandoned(directories) } catch {
            // Where no container can be, as without root, none was left.
        }
        let uses = try imageUses()
        do throws(StoreError) { return try store.prune(all: all, before: before, uses: uses, grace: grace) } catch {
            throw MLRunError(error)
        }
    }
}
