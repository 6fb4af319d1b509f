import CLinux
import Container
import Glibc
import LinuxSystem
import Synchronization

extension OCIVerbs {
    static let creation = [
        OptionRule("bundle", short: "b", value: "DIR", "the bundle; the working directory by default"),
        OptionRule("console-socket", value: "SOCKET", "send the terminal to a unix socket"),
        OptionRule("pidfd-socket", value: "SOCKET", "send a pidfd of the container's process to a unix socket"),
        OptionRule("pid-file", value: "FILE", "write the pid of the container's process to a file"),
        OptionRule("device", value: "NAME", "give it a device by its CDI name, such as nvidia.com/gpu=all"),
        OptionRule("no-pivot", "enter the root by chroot(2), for a host that runs from an initramfs"),
        OptionRule("no-new-keyring", "keep the caller's session keyring"),
        OptionRule("preserve-fds", value: "N", "pass on N descriptors behind those of LISTEN_FDS"),
    ]

    @Sendable static func create(_ invocation: Invocation) throws -> Int32 {
        let (_, warnings) = try containers(invocation).create(
            invocation.arguments[0], try createOptions(invocation))
        warn(warnings)
        return 0
    }

    @Sendable static func run(_ invocation: Invocation) throws -> Int32 {
        let id = invocation.arguments[0]
        let containers = containers(invocation)
        var options = try createOptions(invocation)
        let isDetached = invocation.has("detach")
        if isDetached, options.consoleSocket == nil, try ContainerDirectory.wantsTerminal(bundle: options.bundle) {
            throw UsageError("--detach with a terminal (process.terminal) needs --console-socket")
        }
        // Somebody who waits for READY has to be there before the program runs.
        options.startsAtOnce = options.notifySocket == nil
        let foreground = isDetached ? nil : try Foreground()
        let (process, warnings) = try containers.create(id, options)
        warn(warnings)
        let status: ExitStatus
        do {
            var proxy: NotifyProxy?
            if let host = options.notifySocket {
                proxy = try containers.notifyProxy(id, to: host)
                try containers.start(id)
            }
            guard let foreground else {
                try proxy?.relay(from: process)
                return 0
            }
            status = try foreground.follow(process, takesConsole: options.consoleSocket == nil, proxy: proxy)
        } catch {
            // What is told to have failed must not go on; the failure to be told is the one that led here.
            _ = try? containers.delete(id, force: true)
            throw error
        }
        if !invocation.has("keep") { try containers.delete(id, force: true) }
        return status.code
    }

    @Sendable static func start(_ invocation: Invocation) throws -> Int32 {
        let id = invocation.arguments[0]
        let containers = containers(invocation)
        let proxy = try variable("NOTIFY_SOCKET").flatMap { try containers.notifyProxy(id, to: $0) }
        let process = try containers.start(id)
        try proxy?.relay(from: process)
        return 0
    }

    static func createOptions(_ invocation: Invocation) throws -> CreateOptions {
        var options = CreateOptions(bundle: absolute(invocation.value("bundle") ?? "."))
        options.heedsAnnotations = try OCIGlobals.heedsAnnotations(invocation.globals)
        options.devices = invocation.values("device")
        options.pivots = !invocation.has("no-pivot")
        options.pidFile = invocation.value("pid-file")
        options.consoleSocket = invocation.value("console-socket")
        options.pidfdSocket = invocation.value("pidfd-socket")
        options.makesKeyring = !invocation.has("no-new-keyring")
        options.notifySocket = variable("NOTIFY_SOCKET")
        (options.listening, options.extraDescriptors) = try passedOn(invocation)
        options.seccompCache = "\(containers(invocation).root)/.seccomp"
        options.preparedMounts = .standard
        options.needsCgroup = try OCIGlobals.isRootless(invocation.globals) == false
        options.cgroupManager = try OCIGlobals.cgroupManager(invocation)
        return options
    }

    /// Sockets that a service manager hands to this process (sd_listen_fds(3)), and what --preserve-fds names behind them.
    static func passedOn(
        _ invocation: Invocation
    ) throws -> (listening: ListeningSockets?, descriptors: [SharedDescriptor]) {
        guard let count = variable("LISTEN_FDS").flatMap({ Int32($0) }), (1...1024).contains(count),
            variable("LISTEN_PID").flatMap({ Int32($0) }) == getpid()
        else { return (nil, try preserved(invocation, from: 3)) }
        let listening = ListeningSockets(count: Int(count), names: variable("LISTEN_FDNAMES"))
        return (listening, try descriptors(3, count) + preserved(invocation, from: 3 + count))
    }

    private static func preserved(_ invocation: Invocation, from first: Int32) throws -> [SharedDescriptor] {
        guard let text = invocation.value("preserve-fds") else { return [] }
        guard let count = Int32(text), (0...1024).contains(count) else {
            throw UsageError("--preserve-fds is \"\(text)\", not a number of descriptors")
        }
        return try descriptors(first, count)
    }

    private static func descriptors(_ first: Int32, _ count: Int32) throws -> [SharedDescriptor] {
        try (first..<first + count).map { number in
            SharedDescriptor(taking: try check(mlr_dup_cloexec(number, 3), "pass on descriptor \(number)"))
        }
    }

    static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    static func warn(_ warnings: [String]) {
        for warning in warnings { OCILog.shared.withLock { $0 }.warning(warning) }
    }
}
