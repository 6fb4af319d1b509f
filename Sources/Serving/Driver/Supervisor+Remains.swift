internal import CLinux
internal import Container
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// What is left of services that cannot be taken over: begun and never recorded, or with a record, or an image, that is
/// damaged or gone.
extension Supervisor {
    /// Removes the directories of services that a supervisor was about to make, or to remove, when it was killed. Nothing
    /// runs in them: a service is recorded before its first launch.
    func removeUnrecordedServices() {
        do throws(SystemError) {
            for name in try File.list(context.directories.services) where !ForegroundContainer.isName(name) {
                let files = ServiceFiles(context.directories, name: name)
                if !File.exists(files.record) { try File.removeTree(files.directory) }
            }
        } catch {
            Diagnostics.note("\(error)")
        }
    }

    /// Ends and removes a service that is there on disk only, by what its directories say. False where there is none.
    func removeRemains(of name: String, _ reply: ControlReply) -> Bool {
        let files = ServiceFiles(context.directories, name: name)
        // The name becomes a path.
        guard (try? ServiceName.check(name)) != nil, File.exists(files.directory) else { return false }
        context.gateway.unpublish(name)
        let host = context.host
        loop.work { () -> ControlError? in
            do throws(ControlError) { try Self.remove(files, host) } catch { return error }
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

    private static func remove(_ files: ServiceFiles, _ host: HostSnapshot) throws(ControlError) {
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
            try File.removeTree(files.directory)
        } catch {
            throw ControlError(error)
        }
    }
}
