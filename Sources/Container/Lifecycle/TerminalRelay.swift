internal import CLinux
internal import Glibc
public import LinuxSystem

/// Joins a person's terminal to a container's: raw mode, window size, bytes both ways, until the container's process ends.
public struct TerminalRelay: ~Copyable {
    private let input: Int32
    private let output: Int32
    private let before: termios?

    /// Takes a terminal over; what is no terminal is relayed as it is.
    public init(input: Int32 = 0, output: Int32 = 1) {
        self.input = input
        self.output = output
        var attributes = termios()
        guard tcgetattr(input, &attributes) == 0 else {
            before = nil
            return
        }
        before = attributes
        cfmakeraw(&attributes)
        tcsetattr(input, TCSANOW, &attributes)
    }

    deinit {
        if var before { tcsetattr(input, TCSANOW, &before) }
    }

    /// Gives the container's terminal the size of the person's.
    public borrowing func copySize(to console: SharedDescriptor) {
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        if mlr_get_window_size(input, &rows, &columns) == 0 {
            _ = mlr_set_window_size(console.rawValue, rows, columns)
        }
    }

    /// Relays until the process has ended and all it wrote is out.
    public borrowing func run(_ process: ContainerProcess, _ console: SharedDescriptor) throws(SystemError)
        -> ExitStatus
    {
        copySize(to: console)
        let signals = try resizeSignals()
        var isInputOpen = true
        while true {
            var entries = [
                pollfd(fd: console.rawValue, events: Int16(POLLIN), revents: 0),
                pollfd(fd: isInputOpen ? input : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals.rawValue, events: Int16(POLLIN), revents: 0),
                pollfd(fd: process.pidfd, events: Int16(POLLIN), revents: 0),
            ]
            try check(retrying { poll(&entries, 4, -1) < 0 ? -errno : 0 }, "wait for the terminal")
            if entries[2].revents != 0 {
                _ = mlr_signalfd_read(signals.rawValue)
                copySize(to: console)
            }
            if entries[1].revents != 0 { isInputOpen = try copy(from: input, to: console.rawValue) }
            // The other side of a terminal that nobody has open any more reads as an error, not as an end.
            let more = entries[0].revents != 0 ? try copy(from: console.rawValue, to: output) : false
            if !more, entries[3].revents != 0 || entries[0].revents != 0 { return try process.wait() }
        }
    }

    private borrowing func resizeSignals() throws(SystemError) -> OwnedDescriptor {
        var signal = SIGWINCH
        return OwnedDescriptor(taking: try check(mlr_signalfd(&signal, 1), "watch the terminal's size"))
    }

    /// False at the end of what can be read.
    private borrowing func copy(from source: Int32, to target: Int32) throws(SystemError) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 16384)
        let got = retrying { () -> Int in
            let got = read(source, &bytes, bytes.count)
            return got < 0 ? -Int(errno) : got
        }
        if got <= 0 { return false }
        do throws(SystemError) { try File.writeAll(Array(bytes[..<got]), to: target) } catch {
            // The container's side is closed: nobody is there to read, which is an end and no failure.
            if error.errno == .inputOutput { return false }
            throw error
        }
        return true
    }
}
