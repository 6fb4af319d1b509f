import CLinux
import Glibc
import LinuxSystem

/// A program of another process, with its output collected.
final class Program {
    struct Outcome: CustomStringConvertible {
        /// As a shell gives it: 128 + n after signal n.
        var status: Int32
        var output: String
        var errors: String
        /// Whether somebody else still held the program's output when it had ended.
        var leftOutputOpen: Bool

        /// The lines of standard output.
        var lines: [String] {
            output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
        }
        var description: String { "status \(status)\n--- output\n\(output)\n--- errors\n\(errors)" }
    }

    let pid: pid_t
    private let name: String
    private let pidfd: SharedDescriptor
    private var outputs: [(descriptor: SharedDescriptor, bytes: [UInt8], isOpen: Bool)] = []
    private var status: Int32?

    /// posix_spawn(3) in a session of its own, with a copy of this process's environment and what is added to it.
    ///
    /// - Parameter terminal: the path of a terminal that becomes its standard input, output and error.
    init(
        _ arguments: [String], environment: [String: String] = [:], input: String = "/dev/null",
        terminal: String? = nil
    ) throws {
        guard let first = arguments.first, let path = TestMachine.path(of: first) else {
            throw TestFailure("\(arguments.first ?? "nothing") is not installed")
        }
        name = arguments.joined(separator: " ")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        let newSession: Int16 = 0x80
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | newSession)

        var readEnds: [SharedDescriptor] = []
        var writeEnds: [SharedDescriptor] = []
        if let terminal {
            for number: Int32 in 0...2 { posix_spawn_file_actions_addopen(&actions, number, terminal, O_RDWR, 0) }
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, input, O_RDONLY, 0)
            for number: Int32 in 1...2 {
                let pipe = try DescriptorPair.pipe()
                pipe.split { reading, writing in
                    readEnds.append(SharedDescriptor(reading))
                    writeEnds.append(SharedDescriptor(writing))
                }
                posix_spawn_file_actions_adddup2(&actions, writeEnds[writeEnds.count - 1].rawValue, number)
            }
        }
        var variables: [String: String] = [:]
        var entry = environ
        while let text = entry.pointee {
            let parts = String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            variables[String(parts[0])] = parts.count == 2 ? String(parts[1]) : ""
            entry += 1
        }
        variables.merge(environment) { $1 }
        let words = arguments.map { strdup($0) } + [nil]
        let values = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in words + values { free(pointer) } }
        var started: pid_t = 0
        let failure = posix_spawn(&started, path, &actions, &attributes, words, values)
        withExtendedLifetime(writeEnds) {}
        guard failure == 0 else { throw SystemError("start", path: path, Errno(rawValue: failure)) }
        pid = started
        pidfd = SharedDescriptor(taking: try check(mlr_pidfd_open(started), "open process \(started)"))
        outputs = readEnds.map { ($0, [], true) }
        for output in outputs { try check(mlr_set_nonblocking(output.descriptor.rawValue, true), "prepare a pipe") }
    }

    var isRunning: Bool {
        guard status == nil else { return false }
        var entry = pollfd(fd: pidfd.rawValue, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, 0) == 0
    }

    func signal(_ number: Int32) { _ = mlr_pidfd_send_signal(pidfd.rawValue, number) }

    /// What it has written to standard output so far.
    func outputSoFar() -> String {
        readOutputs(timeout: 0)
        return String(decoding: outputs[0].bytes, as: UTF8.self)
    }

    /// What it has written to standard error so far.
    func errorsSoFar() -> String {
        readOutputs(timeout: 0)
        return String(decoding: outputs[1].bytes, as: UTF8.self)
    }

    /// Waits for its end.
    /// - Throws: ``TestFailure`` when it takes longer, after killing it.
    func wait(seconds: Int = 60) throws -> Outcome {
        let deadline = TestMachine.milliseconds + Int64(seconds) * 1000
        while status == nil {
            readOutputs(timeout: 50)
            try reap()
            if status == nil, TestMachine.milliseconds > deadline {
                signal(SIGKILL)
                _ = try? reap(blocking: true)
                throw TestFailure("\(name) did not end within \(seconds) s; it wrote: \(texts.joined(separator: "\n"))")
            }
        }
        // Its own last words are in the pipes already; somebody who was given the pipes would keep them open.
        let patience = TestMachine.milliseconds + 1000
        while outputs.contains(where: \.isOpen), TestMachine.milliseconds < patience { readOutputs(timeout: 50) }
        return Outcome(
            status: status ?? -1, output: texts.first ?? "", errors: texts.last ?? "",
            leftOutputOpen: outputs.contains(where: \.isOpen))
    }

    /// Kills it if it runs, and collects it.
    func end() {
        guard status == nil else { return }
        signal(SIGKILL)
        try? reap(blocking: true)
    }

    deinit { end() }

    private var texts: [String] { outputs.map { String(decoding: $0.bytes, as: UTF8.self) } }

    private func reap(blocking: Bool = false) throws {
        var code: Int32 = 0
        var value: Int32 = 0
        let result = retrying { mlr_wait_pidfd(pidfd.rawValue, blocking ? 0 : Int32(MLR_WNOHANG), &code, &value) }
        guard try check(result, "wait for \(name)") == 1 else { return }
        status = code == Int32(MLR_CLD_EXITED) ? value : 128 + value
    }

    private func readOutputs(timeout: Int32) {
        var entries = outputs.map {
            pollfd(fd: $0.isOpen ? $0.descriptor.rawValue : -1, events: Int16(POLLIN), revents: 0)
        }
        entries.append(pollfd(fd: pidfd.rawValue, events: Int16(POLLIN), revents: 0))
        guard poll(&entries, nfds_t(entries.count), timeout) > 0 else { return }
        for index in outputs.indices where entries[index].revents != 0 {
            var buffer = [UInt8](repeating: 0, count: 65536)
            let got = Glibc.read(outputs[index].descriptor.rawValue, &buffer, buffer.count)
            if got > 0 { outputs[index].bytes += buffer[..<got] }
            if got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) { outputs[index].isOpen = false }
        }
    }
}

extension Program {
    static func run(
        _ arguments: [String], environment: [String: String] = [:], input: String = "/dev/null", seconds: Int = 60
    ) throws -> Outcome {
        try Program(arguments, environment: environment, input: input).wait(seconds: seconds)
    }

    /// Runs a program whose failure is an error.
    @discardableResult
    static func succeed(_ arguments: String..., input: String = "/dev/null") throws -> String {
        let outcome = try run(arguments, input: input, seconds: 300)
        guard outcome.status == 0 else { throw TestFailure("\(arguments.joined(separator: " ")): \(outcome)") }
        return outcome.output
    }
}
