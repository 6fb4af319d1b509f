public import LinuxSystem
internal import NIOCore
internal import NIOPosix

/// The data plane: accepts connections on the sockets it is given and passes HTTP/1.1 and TCP on to replicas.
///
/// It is told what to do over a control socket (SOCK_SEQPACKET, one JSON object a message, descriptors by SCM_RIGHTS)
/// and goes on doing it when the one who told it is gone. `list` hands everything to whoever connects next.
public final class Gateway: Sendable {
    /// How a gateway runs.
    public struct Configuration: Sendable {
        /// Event loops. A service belongs to one of them.
        public var threads = 1
        /// How long ``Gateway/run()`` waits for what is in flight once a stop is asked for, in seconds.
        public var drainTimeout = 120.0
        /// The user who may control the gateway besides root.
        public var owner: UInt32

        /// How many connections clients may have.
        public var connections = ConnectionLimits(descriptors: 1024)

        /// How long clients may rest: for tests to shorten.
        var patience = ClientPatience.standard

        public init(owner: UInt32) { self.owner = owner }
    }

    private let control: ControlSocket
    private let signals: SharedDescriptor?
    private let configuration: Configuration
    private let inbox: EventInbox

    /// Where the gateway is told what to do.
    public enum ControlSocket: Sendable {
        /// A bound and listening unix SOCK_SEQPACKET socket.
        case listening(SharedDescriptor)
        /// A connected one: the gateway belongs to who holds the other end, and ends at once when it closes.
        case connected(SharedDescriptor)
    }

    /// - Parameters:
    ///   - control: where it is told what to do
    ///   - signals: a signalfd(2); any signal it reports asks for a stop, the second one for a stop at once
    /// - Throws: ``SystemError`` when the kernel refuses a descriptor.
    public init(
        control: ControlSocket, signals: SharedDescriptor? = nil, configuration: Configuration
    ) throws(SystemError) {
        self.control = control
        self.signals = signals
        self.configuration = configuration
        inbox = try EventInbox()
    }

    /// Serves on this thread and on its event loops until a stop is asked for and done.
    public func run() throws(SystemError) {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.threads)
        // The process ends, or the test has ended: nobody could do anything about a loop that fails to stop.
        defer { try? group.syncShutdownGracefully() }
        let admission = Admission(configuration.connections)
        let loop = try ControlLoop(
            control: control, signals: signals, inbox: inbox, owner: configuration.owner,
            drainTimeout: UInt64(configuration.drainTimeout * 1e9),
            directory: ServiceDirectory(
                group: group, patience: configuration.patience, admission: admission, events: inbox),
            admission: admission)
        try loop.run()
    }

    /// Asks ``run()`` to stop accepting, to wait for what is in flight, and to return. Called again, it waits no longer.
    public func stop() { inbox.post(.stopRequested) }
}
