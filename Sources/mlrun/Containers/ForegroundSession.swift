internal import CLinux
internal import Container
internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// A process of a container in the foreground of this program: passes signals on, carries a terminal's bytes both ways,
/// and ends with the process.
struct ForegroundSession {
    let process: ContainerProcess

    /// - Returns: the status a shell gives: the program's own, or 128 + n after signal n.
    func wait() throws(SystemError) -> Int32 {
        let signals = try SignalPipe.open()
        let console = process.console
        let terminal = console.flatMap { _ in RawTerminal(STDIN_FILENO) }
        defer { terminal?.restore() }
        if let console { resize(console) }
        try run(signals: signals, console: console)
        return try process.wait().code
    }

    private func run(signals: Int32, console: SharedDescriptor?) throws(SystemError) {
        var input: Int32 = console == nil ? -1 : STDIN_FILENO
        var output: Int32 = console?.rawValue ?? -1
        var pidfd = process.pidfd
        while true {
            var polled = [
                pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
                pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: input, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&polled, nfds_t(polled.count), -1)
            if ready < 0 {
                if errno == EINTR { continue }
                throw SystemError("wait for the container", Errno(rawValue: errno))
            }
            if polled[0].revents != 0 { try deliver(from: signals, console: console) }
            if polled[2].revents != 0, !Self.carry(from: output, to: STDOUT_FILENO) { output = -1 }
            if polled[3].revents != 0, let console, !Self.carry(from: STDIN_FILENO, to: console.rawValue) { input = -1 }
            if polled[1].revents != 0 { pidfd = -1 }
            // What the terminal still holds when its process has ended is shown before the session ends.
            if pidfd < 0, output < 0 || polled[2].revents == 0 { return }
        }
    }

    private func deliver(from signals: Int32, console: SharedDescriptor?) throws(SystemError) {
        var number: UInt8 = 0
        guard Glibc.read(signals, &number, 1) == 1 else { return }
        if Int32(number) == SIGWINCH {
            if let console { resize(console) }
        } else if let signal = SignalName(number: Int32(number)) {
            _ = try process.signal(signal)
        }
    }

    private func resize(_ console: SharedDescriptor) {
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        if mlr_get_window_size(STDIN_FILENO, &rows, &columns) == 0 {
            _ = mlr_set_window_size(console.rawValue, rows, columns)
        }
    }

    /// One read and its writes; false at the end of the stream.
    private static func carry(from source: Int32, to target: Int32) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let got = retrying { () -> Int in
            let got = Glibc.read(source, &buffer, buffer.count)
            return got < 0 ? -Int(errno) : got
        }
        if got <= 0 { return false }
        return (try? File.writeAll(Array(buffer[..<got]), to: target)) != nil
    }
}

/// A terminal that passes every key on, until it is restored.
struct RawTerminal {
    private let descriptor: Int32
    private var saved = termios()

    /// Nil when the descriptor is no terminal.
    init?(_ descriptor: Int32) {
        self.descriptor = descriptor
        guard tcgetattr(descriptor, &saved) == 0 else { return nil }
        var raw = saved
        cfmakeraw(&raw)
        guard tcsetattr(descriptor, TCSADRAIN, &raw) == 0 else { return nil }
    }

    func restore() {
        var saved = saved
        tcsetattr(descriptor, TCSADRAIN, &saved)
    }
}

/// The signals that a foreground program passes on, as bytes of a pipe.
private enum SignalPipe {
    nonisolated(unsafe) private static var writeEnd: Int32 = -1

    static func open() throws(SystemError) -> Int32 {
        let pipe = try DescriptorPair.pipe()
        var ends: (Int32, Int32) = (-1, -1)
        pipe.split { ends = ($0.release(), $1.release()) }
        try check(mlr_set_nonblocking(ends.1, true), "prepare the signal pipe")
        writeEnd = ends.1
        for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH] {
            // write(2) is all that happens here: it is safe in a signal handler.
            signal(number) { number in
                var byte = UInt8(truncatingIfNeeded: number)
                _ = Glibc.write(SignalPipe.writeEnd, &byte, 1)
            }
        }
        return ends.0
    }
}
