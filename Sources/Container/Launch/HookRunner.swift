internal import CLaunch
internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Runs hooks on the host's side of a container (runtime-spec, config.md, POSIX-platform hooks).
enum HookRunner {
    static func encode(_ hook: RuntimeSpec.Hook, in arena: PlayerArena) -> mlr_hook {
        mlr_hook(
            path: arena.string(hook.path), arguments: arena.strings(hook.args.isEmpty ? [hook.path] : hook.args),
            environment: arena.strings(hook.env),
            timeout_milliseconds: hook.timeout.map { Int32(clamping: min($0, 1 << 21)) * 1000 } ?? -1)
    }

    /// Runs hooks one after the other in `directory`, each with the state on its standard input and nothing but its own
    /// environment: an image's variables must not steer programs of the host.
    static func run(
        _ hooks: [RuntimeSpec.Hook], stage: String, state: ContainerState, in directory: String?
    ) throws(LaunchError) {
        guard let first = hooks.first else { return }
        let input: OwnedDescriptor
        do throws(SystemError) { input = try file(state) } catch {
            throw .hook("\(stage) hook \(first.path) cannot be run: \(error)")
        }
        let arena = PlayerArena()
        for hook in hooks {
            var encoded = encode(hook, in: arena)
            let (status, said) = run(&encoded, input.rawValue, directory.map(arena.string))
            if status == 0 { continue }
            let outcome = outcome(status, timeout: hook.timeout)
            throw .hook("\(stage) hook \(hook.path) \(outcome)\(said.isEmpty ? "" : ": \(said)")")
        }
    }

    /// - Returns: what became of the hook, as `mlr_run_hook` tells, and the end of what it said, in one line.
    static func run(
        _ hook: inout mlr_hook, _ input: Int32, _ directory: UnsafePointer<CChar>?
    ) -> (status: Int32, said: String) {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(MLR_HOOK_OUTPUT_ROOM) + 1) { room in
            guard let text = room.baseAddress else { return (-ENOMEM, "") }
            text.initialize(to: 0)
            return (mlr_run_hook(&hook, input, directory, text), String(cString: text))
        }
    }

    /// The same for hooks that fail without consequence (runtime.md, Lifecycle): all of them run, and what went wrong is
    /// only told.
    static func tryAll(
        _ hooks: [RuntimeSpec.Hook], stage: String, state: ContainerState, in directory: String?
    ) -> [String] {
        var warnings: [String] = []
        for hook in hooks {
            do throws(LaunchError) { try run([hook], stage: stage, state: state, in: directory) } catch {
                warnings.append("\(error)")
            }
        }
        return warnings
    }

    static func file(_ state: ContainerState) throws(SystemError) -> OwnedDescriptor {
        let file = OwnedDescriptor(taking: try check(mlr_memfd_create("state", 0), "create a memory file"))
        try File.writeAll(state.json.bytes(), to: file.rawValue)
        return file
    }

    private static func outcome(_ status: Int32, timeout: Int?) -> String {
        if status == -ETIMEDOUT { return "did not end within \(timeout ?? 0) s and was killed" }
        if status < 0 { return "cannot be run: \(LaunchError.reason(Errno(rawValue: -status)))" }
        if status & 0x7F == 0 { return "exited with code \(status >> 8)" }
        return "was killed by \(SignalName(number: status & 0x7F)?.description ?? "signal \(status & 0x7F)")"
    }
}
