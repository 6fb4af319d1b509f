internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// One plugin, run once a command. Blocks: for worker threads and programs in the foreground.
struct CNIPlugin {
    enum Command: String {
        case add = "ADD"
        case delete = "DEL"
    }

    /// A plugin asks a daemon or a DHCP server at most; one that takes longer hangs.
    static let timeoutSeconds: Int32 = 60
    private static let mostOutput = 1 << 20

    let type: String
    let path: String
    /// For messages.
    let network: String

    /// - Returns: what it wrote to standard output.
    func run(
        _ command: Command, environment: [String], configuration: JSON, timeoutSeconds: Int32 = Self.timeoutSeconds
    ) throws(CNIError) -> [UInt8] {
        let exitCode: Int32?
        let answer: [UInt8]
        let complaint: [UInt8]
        do throws(SystemError) {
            // Files in memory instead of pipes: no program that the plugin leaves behind can keep its output open.
            let input = try Self.memoryFile()
            try File.writeAll(configuration.bytes(), to: input.rawValue)
            lseek(input.rawValue, 0, SEEK_SET)
            let output = try Self.memoryFile()
            let errors = try Self.memoryFile()
            let child = try ChildProgram.start(
                path, [], environment: Self.inherited + ["CNI_COMMAND=\(command.rawValue)"] + environment,
                descriptors: [input.rawValue, output.rawValue, errors.rawValue])
            exitCode = Self.wait(child.pidfd, timeoutSeconds)
            answer = try Self.content(of: output)
            complaint = try Self.content(of: errors)
        } catch {
            throw CNIError("\(name(command)) failed: \(error)")
        }
        guard let exitCode else {
            throw CNIError("\(name(command)) did not end within \(timeoutSeconds) s and was killed")
        }
        if exitCode == 0 { return answer }
        throw failure(command, exitCode, answer, complaint)
    }

    private func name(_ command: Command) -> String {
        "the CNI plugin \(type) of the network \(network) (\(command.rawValue))"
    }

    private func failure(_ command: Command, _ exitCode: Int32, _ answer: [UInt8], _ errors: [UInt8]) -> CNIError {
        if let json = try? JSON(parsing: answer), let failure = try? CNIPluginFailure(JSONCursor(json)) {
            return CNIError("\(name(command)) failed: \(failure.text)", remedy: failure.remedy)
        }
        // It broke before it could say so in the form of the specification.
        let lines = String(decoding: errors.isEmpty ? answer : errors, as: UTF8.self).split(separator: "\n")
        let words = lines.last.map { ": \($0)" } ?? ""
        let end = exitCode > 128 ? "was killed by signal \(exitCode - 128)" : "ended with status \(exitCode)"
        return CNIError("\(name(command)) \(end)\(words)", remedy: "run \(path) by hand to see what it lacks")
    }

    /// The caller's variables without those that this runtime sets; plugins need PATH to find iptables.
    private static var inherited: [String] {
        let kept = ChildProgram.environment.filter { !$0.hasPrefix("CNI_") }
        if kept.contains(where: { $0.hasPrefix("PATH=") }) { return kept }
        return kept + ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    }

    private static func memoryFile() throws(SystemError) -> SharedDescriptor {
        SharedDescriptor(taking: try check(mlr_memfd_create("cni", 0), "create a memory file"))
    }

    private static func content(of file: SharedDescriptor) throws(SystemError) -> [UInt8] {
        lseek(file.rawValue, 0, SEEK_SET)
        return try File.readAll(file.rawValue, limit: mostOutput, path: "the output of a CNI plugin")
    }

    /// The exit code as a shell gives it; nil, after it was killed, for a program that took too long.
    private static func wait(_ pidfd: SharedDescriptor, _ seconds: Int32) -> Int32? {
        let deadline = mlr_monotonic_nanoseconds() + UInt64(seconds) * 1_000_000_000
        var entry = pollfd(fd: pidfd.rawValue, events: Int16(POLLIN), revents: 0)
        while true {
            let left = Int64(deadline) - Int64(mlr_monotonic_nanoseconds())
            let ready = poll(&entry, 1, Int32(clamping: max(0, left / 1_000_000)))
            if ready > 0 { break }
            if left <= 0 {
                _ = mlr_pidfd_send_signal(pidfd.rawValue, SIGKILL)
                _ = end(of: pidfd)
                return nil
            }
        }
        return end(of: pidfd)
    }

    private static func end(of pidfd: SharedDescriptor) -> Int32 {
        var code: Int32 = 0
        var value: Int32 = 0
        _ = retrying { mlr_wait_pidfd(pidfd.rawValue, 0, &code, &value) }
        return code == Int32(MLR_CLD_EXITED) ? value : 128 + value
    }
}
