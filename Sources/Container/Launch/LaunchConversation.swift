internal import CLaunch
internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// The launching side of the channel to the player.
struct LaunchConversation {
    private let channel: SharedDescriptor
    private let plan: LaunchPlan

    init(_ channel: SharedDescriptor, plan: LaunchPlan) {
        self.channel = channel
        self.plan = plan
    }

    /// Lets the waiting player begin.
    func letGo() throws(LaunchError) {
        var byte: UInt8 = 1
        let sent = retrying { mlr_send_descriptors(channel.rawValue, &byte, 1, nil, 0, 0) }
        // A player that died already tells more by its end than by the broken channel.
        if sent < 0, sent != -Int64(EPIPE) {
            throw .system(SystemError("talk to the new process", Errno(rawValue: Int32(-sent))))
        }
    }

    /// The pid of the container's process, which a stage made after joining namespaces.
    func staged(by stage: ContainerProcess) throws(LaunchError) -> Int32 {
        // Its child holds the channel open too, and would wait for ever for a caller that waits for the stage.
        do throws(SystemError) {
            var entries = [channel.rawValue, stage.pidfd].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            try check(retrying { poll(&entries, 2, -1) < 0 ? -errno : 0 }, "wait for the new process")
            if entries[0].revents == 0 { throw SystemError("create a process in the container", .noSuchProcess) }
        } catch { throw .system(error) }
        guard let (report, _) = try receive() else { throw .died(try end(of: stage), during: nil) }
        if report.kind == MLR_REPORT_STAGED.rawValue { return report.error }
        throw failure(report)
    }

    /// Follows the player to its program or its gate; returns the terminal that it made.
    /// - Parameter state: what a seccomp agent is told of the container.
    func follow(_ process: ContainerProcess, _ state: ContainerState?) throws(LaunchError) -> SharedDescriptor? {
        var console: SharedDescriptor?
        var executing = false
        while let (report, descriptor) = try receive() {
            switch mlr_report_kind(report.kind) {
            case MLR_REPORT_CONSOLE: console = descriptor
            case MLR_REPORT_EXECUTING: executing = true
            case MLR_REPORT_LISTENER:
                guard let descriptor, let profile = plan.seccomp else { continue }
                try SeccompListener.hand(descriptor, of: process, profile, state)
                try letGo()
            case MLR_REPORT_GATE: return console
            default: throw failure(report)
            }
        }
        if executing { return console }
        throw .died(try end(of: process), during: nil)
    }

    private func end(of process: ContainerProcess) throws(LaunchError) -> ExitStatus {
        // One that closed the channel and lives all the same is not what was asked for.
        do throws(SystemError) { return try process.kill() } catch { throw .system(error) }
    }

    private func receive() throws(LaunchError) -> (mlr_report, SharedDescriptor?)? {
        var report = mlr_report()
        var descriptor: Int32 = -1
        var count = 1
        let got = retrying {
            count = 1
            return mlr_receive_descriptors(
                channel.rawValue, &report, MemoryLayout<mlr_report>.size, &descriptor, &count, 0)
        }
        if got == 0 || got == -Int64(ECONNRESET) { return nil }
        if got < 0 { throw .system(SystemError("listen to the new process", Errno(rawValue: Int32(-got)))) }
        return (report, count == 1 ? SharedDescriptor(taking: descriptor) : nil)
    }

    private func failure(_ report: mlr_report) -> LaunchError {
        let errno = Errno(rawValue: report.error)
        if report.step < -1 {
            let index = Int(-2 - report.step)
            let namespace = index < plan.joined.count ? plan.joined[index] : nil
            if let namespace { return .step(.join(namespace), errno, detail: "") }
            return .system(SystemError("join the container's namespaces", errno))
        }
        guard report.step >= 0 else {
            let operation = report.detail.isEmpty ? "create a process in the container" : report.detail
            return .system(SystemError(operation, errno))
        }
        let step = plan.steps[Int(report.step)]
        switch step {
        case .findProgram(let name, _):
            return errno == .noSuchFile ? .programNotFound(name) : .programNotExecutable(name, errno)
        case .execute(let arguments, _): return .programNotExecutable(arguments.first ?? "", errno)
        case .hooks(let stage, _, _): return .hook(report.hookText(stage))
        default: return .step(step, errno, detail: report.detail)
        }
    }
}

extension mlr_report {
    var detail: String {
        withUnsafeBytes(of: text) { bytes in String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// What became of a hook.
    func hookText(_ stage: String) -> String {
        if error == ECANCELED { return "\(stage) hook \(detail)" }
        return "\(stage) hook \(detail) cannot be run: \(LaunchError.reason(Errno(rawValue: error)))"
    }
}
