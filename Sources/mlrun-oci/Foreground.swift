import CLinux
import Container
import Glibc
import LinuxSystem
import OCISpec

/// A container's process in the foreground: signals that this program gets are the process's, its terminal is this one.
struct Foreground: ~Copyable {
    /// All but those that mean this very process: of faults, of its children and of its terminal's job control.
    private static let forwarded: [Int32] =
        [
            SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGCONT, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF,
            SIGWINCH, SIGIO, SIGPWR,
        ] + Array(34...64)
    private let signals: OwnedDescriptor

    /// From here on the signals wait, so that none is lost while the process is being made.
    init() throws(SystemError) {
        let numbers = Self.forwarded
        signals = OwnedDescriptor(taking: try check(mlr_signalfd(numbers, numbers.count), "watch signals"))
    }

    /// Until the process has ended, and all that it wrote to its terminal is out.
    borrowing func follow(
        _ process: ContainerProcess, takesConsole: Bool, proxy: NotifyProxy? = nil
    ) throws(SystemError) -> ExitStatus {
        var proxy = proxy
        let relay = takesConsole ? process.console.map { TerminalRelay($0) } : nil
        var hasInput = true
        while true {
            var entries = [
                Self.entry(signals.rawValue), Self.entry(process.pidfd), Self.entry(proxy?.descriptor),
                Self.entry(relay?.containerDescriptor), Self.entry(hasInput ? relay?.personDescriptor : nil),
            ]
            try check(
                retrying { poll(&entries, nfds_t(entries.count), -1) < 0 ? -errno : 0 },
                "wait for process \(process.pid)")
            if entries[0].revents != 0 { try pass(mlr_signalfd_read(signals.rawValue), to: process, relay) }
            if entries[2].revents != 0, let waiting = proxy, try waiting.pass(from: process) { proxy = nil }
            if entries[4].revents != 0 { hasInput = try relay?.passInput() ?? false }
            // The other side of a terminal that nobody has open any more reads as an error, not as an end.
            let hasOutput = entries[3].revents != 0 ? try relay?.passOutput() ?? false : false
            if hasOutput { continue }
            if entries[1].revents != 0 || entries[3].revents != 0 { return try process.wait() }
        }
    }

    private static func entry(_ descriptor: Int32?) -> pollfd {
        pollfd(fd: descriptor ?? -1, events: Int16(POLLIN), revents: 0)
    }

    private borrowing func pass(
        _ number: Int32, to process: ContainerProcess, _ relay: TerminalRelay?
    ) throws(SystemError) {
        if number == SIGWINCH, let relay {
            relay.copySize()
        } else if let signal = SignalName(number: number) {
            try process.signal(signal)
        }
    }
}
