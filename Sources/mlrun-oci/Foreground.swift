import CLinux
import Container
import Glibc
import LinuxSystem
import OCISpec

/// A container's process in the foreground: signals that this program gets are the process's, its terminal is this one.
struct Foreground: ~Copyable {
    private static let forwarded = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2]
    private let signals: OwnedDescriptor

    /// From here on the signals wait, so that none is lost while the process is being made.
    init() throws(SystemError) {
        let numbers = Self.forwarded
        signals = OwnedDescriptor(taking: try check(mlr_signalfd(numbers, numbers.count), "watch signals"))
    }

    borrowing func follow(_ process: ContainerProcess, takesConsole: Bool) throws(SystemError) -> ExitStatus {
        if takesConsole, let console = process.console {
            return try TerminalRelay().run(process, console)
        }
        while true {
            var entries = [
                pollfd(fd: signals.rawValue, events: Int16(POLLIN), revents: 0),
                pollfd(fd: process.pidfd, events: Int16(POLLIN), revents: 0),
            ]
            try check(retrying { poll(&entries, 2, -1) < 0 ? -errno : 0 }, "wait for process \(process.pid)")
            if entries[0].revents != 0, let signal = SignalName(number: mlr_signalfd_read(signals.rawValue)) {
                try process.signal(signal)
            }
            if entries[1].revents != 0 { return try process.wait() }
        }
    }
}
