internal import CLinux
internal import Container
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// What is left of services that cannot be taken over: begun and never recorded, or with a record, or an image, that is
/// damaged or gone.
extension Supervisor {
    /// Removes the directories of services that a supervisor was about to make when it was killed, and goes on with those
    /// that it was deleting. Nothing runs in them: a service is recorded before its first launch.
    func removeUnrecordedServices() {
        let removed = RemovedFiles(context.directories)
        let remains: [String]
        do throws(SystemError) {
            for name in try File.list(context.directories.services) where !ForegroundContainer.isName(name) {
                let files = ServiceFiles(context.directories, name: name)
                if !File.exists(files.record) { _ = try removed.take(files.directory) }
            }
            remains = try removed.remains
        } catch {
            Diagnostics.note("\(error)")
            return
        }
        if remains.isEmpty { return }
        loop.work {
            for path in remains {
                do throws(SystemError) { try File.removeTree(path) } catch { Diagnostics.note("\(error)") }
            }
        } then: { _ in
        }
    }

    /// Removes a service at rest: its networks, its directory, and what is known of it. Its name is taken until nothing is
    /// left, and the loop goes on meanwhile.
    func removeFiles(of service: ServiceRunner, _ reply: ControlReply) {
        let name = service.name
        removing.insert(name)
        let replicas = service.replicas.values.map(\.files)
        for replica in service.replicas.values { replica.release(loop) }
        let (directory, removed) = (service.files.directory, RemovedFiles(context.directories))
        loop.work { () -> ControlError? in
            do throws(ControlError) {
                // Only where taking it down has failed before is there anything left to give back.
                for files in replicas { try ReplicaNetwork.release(files) }
                do throws(SystemError) { try removed.remove(directory) } catch { throw ControlError(error) }
                return nil
            } catch { return error }
        } then: { [self] failure in
            removing.remove(name)
            // Whatever could not be deleted: without its directory it is no service.
            if File.exists(directory) {
                return reply.fail(failure ?? ControlError("\(directory) could not be removed"))
            }
            for replica in service.replicas.values { context.slots.free(replica.record.slot) }
            services[name] = nil
            if services.isEmpty { context.host.removeCgroupParent() }
            context.events.record(service: name, replica: nil, kind: "removed", text: "\(name) is removed")
            if let failure { reply.fail(failure) } else { reply.succeed(["name": .string(name)]) }
        }
    }

    /// Ends and removes a service that is there on disk only, by what its directories say. False where there is none.
    func removeRemains(of name: String, _ reply: ControlReply) -> Bool {
        let files = ServiceFiles(context.directories, name: name)
        // The name becomes a path.
        guard (try? ServiceName.check(name)) != nil, File.exists(files.directory) else { return false }
        context.gateway.unpublish(name)
        let (host, removed) = (context.host, RemovedFiles(context.directories))
        loop.work { () -> ControlError? in
            do throws(ControlError) { try Self.remove(files, host, removed) } catch { return error }
            return nil
        } then: { [context] failure in
            if let failure { return reply.fail(failure) }
            context.events.record(
                service: name, replica: nil, kind: "removed", text: "what was left of \(name) is removed")
            reply.succeed(["name": .string(name)])
        }
        return true
    }

    private static func end(_ replica: ReplicaID, _ host: HostSnapshot) throws(CgroupError) {
        let cgroup = try host.hierarchy.group(at: host.cgroupPath(replica))
        guard cgroup.exists else { return }
        try cgroup.kill()
        _ = try cgroup.waitUntilEmpty(deadline: mlr_monotonic_nanoseconds() + 10_000_000_000)
        try cgroup.remove()
    }

    private static func remove(
        _ files: ServiceFiles, _ host: HostSnapshot, _ removed: RemovedFiles
    ) throws(ControlError) {
        let directory = "\(files.directory)/replicas"
        let names: [String]
        do throws(SystemError) { names = File.exists(directory) ? try File.list(directory) : [] } catch {
            throw ControlError(error)
        }
        do throws(CgroupError) { for name in names { try end(ReplicaID(name), host) } } catch {
            throw ControlError(error.cause, remedy: error.remedy)
        }
        do throws(SystemError) {
            for name in names {
                let replica = files.replica(ReplicaID(name))
                if let agent = ReplicaRecord.read(replica)?.agent { SocketAgent.end(agent) }
                try File.removeTree(replica.runtimeDirectory)
            }
            try removed.remove(files.directory)
        } catch {
            throw ControlError(error)
        }
    }
}
