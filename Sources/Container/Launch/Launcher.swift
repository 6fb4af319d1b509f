internal import CLaunch
internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Makes a process and plays a plan in it, up to its program or its start gate.
///
/// May be called from any thread of any process: no signal disposition, no namespace and no working directory of the
/// caller changes, and no other child of it is waited for.
public enum Launcher {
    /// Returns when the program runs, or waits at the request's gate; otherwise nothing is left of the attempt.
    public static func launch(_ request: LaunchRequest) throws(LaunchError) -> ContainerProcess {
        try play(try PlayerProgram(request), request)
    }

    static func play(_ program: PlayerProgram, _ request: LaunchRequest) throws(LaunchError) -> ContainerProcess {
        let (conversation, process) = try begin(program, request)
        var devices: NetworkDevices?
        do throws(LaunchError) {
            try map(process, request.plan)
            devices = try furnish(process, request.plan)
            try prepare(process, request, program.hookStates)
            try conversation.letGo()
            process.console = try conversation.follow(process, request.hookState)
            return process
        } catch {
            // While the namespace is there: it takes the devices that are still in it along.
            devices?.giveBack()
            _ = try? process.kill()
            throw error
        }
    }

    /// Who the new process and its namespaces belong to; first, because without owners nothing else can be done in them.
    private static func map(_ process: ContainerProcess, _ plan: LaunchPlan) throws(LaunchError) {
        guard plan.created.contains(.user) else { return }
        do throws(SystemError) {
            try UserNamespace.map(process: process.pid, uid: plan.uidMappings, gid: plan.gidMappings)
        } catch { throw .system(error) }
    }

    /// Moves network devices in.
    private static func furnish(_ process: ContainerProcess, _ plan: LaunchPlan) throws(LaunchError) -> NetworkDevices?
    {
        if plan.networkDevices.isEmpty { return nil }
        var devices: NetworkDevices
        do throws(SystemError) {
            devices = try NetworkDevices(
                into: SharedDescriptor(try File.open("/proc/\(process.pid)/ns/net", O_RDONLY)))
        } catch { throw .system(error) }
        try devices.move(plan.networkDevices)
        return devices
    }

    private static func begin(
        _ program: PlayerProgram, _ request: LaunchRequest
    ) throws(LaunchError) -> (LaunchConversation, ContainerProcess) {
        let conversation: LaunchConversation
        let first: ContainerProcess
        do throws(SystemError) {
            var ends: [Int32] = [-1, -1]
            try check(mlr_socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), &ends), "create a socket pair")
            let childEnd = OwnedDescriptor(taking: ends[1])
            conversation = LaunchConversation(SharedDescriptor(taking: ends[0]), plan: request.plan)
            var launch = program.launch(on: childEnd.rawValue)
            var pid: Int32 = 0
            var pidfd: Int32 = -1
            let kinds = request.plan.created.map(\.rawValue).joined(separator: ", ")
            try check(
                mlr_launch(&launch, &pid, &pidfd),
                "create a process\(kinds.isEmpty ? "" : " in new namespaces (\(kinds))")")
            first = try process(pid, OwnedDescriptor(taking: pidfd))
        } catch {
            throw .system(error)
        }
        if program.launch.join_count == 0, program.launch.affinity == nil { return (conversation, first) }
        return (conversation, try secondProcess(of: first, conversation))
    }

    /// The stage's child is a child of the caller too, so its number stays its own until it is waited for.
    private static func secondProcess(
        of stage: ContainerProcess, _ conversation: LaunchConversation
    ) throws(LaunchError) -> ContainerProcess {
        do throws(LaunchError) {
            let pid = try conversation.staged(by: stage)
            do throws(SystemError) {
                try stage.wait()
                return try process(pid, OwnedDescriptor(taking: try check(mlr_pidfd_open(pid), "open process \(pid)")))
            } catch { throw .system(error) }
        } catch {
            _ = try? stage.kill()
            throw error
        }
    }

    static func process(_ pid: Int32, _ pidfd: consuming OwnedDescriptor) throws(SystemError) -> ContainerProcess {
        guard let startTime = try ProcessFacts.startTime(of: pid) else {
            throw SystemError("look up process \(pid)", .noSuchProcess)
        }
        return ContainerProcess(pid: pid, pidfd: pidfd, startTime: startTime)
    }

    /// What only the launching process can do for the new one.
    private static func prepare(
        _ process: ContainerProcess, _ request: LaunchRequest, _ hookStates: [SharedDescriptor]
    ) throws(LaunchError) {
        let plan = request.plan
        do throws(SystemError) {
            for case .resourceLimit(let limit) in plan.steps { raise(limit, of: process.pid) }
            if !hookStates.isEmpty, var state = request.hookState {
                state.pid = try numberInside(process, plan)
                state.status = .created
                for file in hookStates { try File.writeAll(state.json.bytes(), to: file.rawValue) }
            }
        } catch {
            throw .system(error)
        }
        if let adjustment = plan.oomScoreAdjustment { try adjust(process, to: adjustment) }
        try request.whenCreated?(process)
    }

    /// The process's pid as hooks see it that run in the container's namespaces (runtime-spec, runtime.md, State).
    private static func numberInside(_ process: ContainerProcess, _ plan: LaunchPlan) throws(SystemError) -> Int32 {
        if plan.created.contains(.pid) { return 1 }
        guard plan.joined.contains(where: { $0.kind == .pid }) else { return process.pid }
        return try ProcessFacts.innermostNumber(of: process.pid)
    }

    /// A score that is there already needs no right.
    private static func adjust(_ process: ContainerProcess, to score: Int) throws(LaunchError) {
        let path = "/proc/\(process.pid)/oom_score_adj"
        let present = (try? File.readText(path)).flatMap { Int($0.filter { !$0.isWhitespace }) }
        if present == score { return }
        do throws(SystemError) { try File.put("\(score)", into: path) } catch {
            guard error.errno == .accessDenied || error.errno == .notPermitted else { throw .system(error) }
            throw .setting(
                path: "process.oomScoreAdj",
                "cannot become \(score): it is \(present ?? 0), and to lower it takes CAP_SYS_RESOURCE")
        }
    }

    /// Lets a process set a limit itself that is above the one it has: only CAP_SYS_RESOURCE of the host may raise it, and
    /// in a user namespace nobody has that. What fails here fails again in the process's own step, which says which limit it was.
    private static func raise(_ limit: RuntimeSpec.ResourceLimit, of process: Int32) {
        guard let number = RuntimeSpec.ResourceLimit.numbers[limit.type] else { return }
        let resource = Int32(number)
        var present = mlr_limit()
        guard mlr_prlimit(process, resource, nil, &present) >= 0, limit.hard > present.hard else { return }
        var raised = mlr_limit(soft: present.soft, hard: limit.hard)
        _ = mlr_prlimit(process, resource, &raised, nil)
    }
}
