public import ImageStore
public import LinuxSystem
public import OCISpec
public import Registry
public import Serving

/// What the library throws: a code to decide by, one line of cause, one of remedy, and the error beneath.
public struct MLRunError: Error, Sendable, CustomStringConvertible {
    /// Kinds of failure. More may be added, so a `switch` over them needs a default.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Kind: String, Sendable {
            case invalidArgument, imageNotFound, pullFailed, storeFailed, supervisorUnavailable, serviceFailed
            case containerFailed, systemCallFailed, cancelled, untrusted, pushFailed
        }
        private let kind: Kind

        /// A text, name or number that cannot be understood.
        public static let invalidArgument = Code(kind: .invalidArgument)
        /// The image is neither in the store nor in its registry.
        public static let imageNotFound = Code(kind: .imageNotFound)
        /// A registry or archive could not deliver the image as it promised.
        public static let pullFailed = Code(kind: .pullFailed)
        /// The image store refused or failed.
        public static let storeFailed = Code(kind: .storeFailed)
        /// mlrund could not be started or reached.
        public static let supervisorUnavailable = Code(kind: .supervisorUnavailable)
        /// mlrund refused a request, or a service failed to become what was asked.
        public static let serviceFailed = Code(kind: .serviceFailed)
        /// A container could not be made or started.
        public static let containerFailed = Code(kind: .containerFailed)
        /// The kernel refused something; ``MLRunError/underlying`` is the `SystemError`.
        public static let systemCallFailed = Code(kind: .systemCallFailed)
        /// An image is not signed as it must be, or the policy rejects it.
        public static let untrusted = Code(kind: .untrusted)
        /// A registry did not take an image.
        public static let pushFailed = Code(kind: .pushFailed)
        /// The task that asked was cancelled.
        public static let cancelled = Code(kind: .cancelled)

        public var description: String { kind.rawValue }
    }

    /// What a program may decide by.
    public let code: Code
    /// Lower case, no full stop; names the path, field or image.
    public let message: String
    /// What to do about it, where there is something to say.
    public let remedy: String?
    /// What a command-line program should exit with; Docker's numbers.
    public let exitCode: Int32
    /// The error of the layer beneath, where there was one.
    public let underlying: (any Error)?

    public init(
        _ code: Code, _ message: String, remedy: String? = nil, exitCode: Int32 = 125, underlying: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.remedy = remedy
        self.exitCode = exitCode
        self.underlying = underlying
    }

    public var description: String { remedy.map { "\(message); \($0)" } ?? message }
}

extension MLRunError {
    /// An error of the image store, with the code that fits it.
    public init(_ error: StoreError) {
        let code: Code =
            switch error {
            case .image(.noSuchImage): .imageNotFound
            case .image(.invalidName): .invalidArgument
            default: .storeFailed
            }
        self.init(code, error.description, remedy: error.remedy, underlying: error)
    }

    /// An error of a registry, with the code that fits it.
    public init(_ error: RegistryError) {
        let code: Code =
            switch error.kind {
            case .notFound: .imageNotFound
            case .cancelled: .cancelled
            default: .pullFailed
            }
        self.init(code, error.message, remedy: error.remedy, underlying: error)
    }

    /// What the supervisor refused, or could not do.
    public init(_ error: ControlError) {
        self.init(
            .serviceFailed, error.message, remedy: error.remedy, exitCode: error.exitCode, underlying: error)
    }

    /// A system call that failed.
    public init(_ error: SystemError, remedy: String? = nil) {
        self.init(.systemCallFailed, error.description, remedy: remedy, underlying: error)
    }

    /// A text that is no reference.
    public init(_ error: ImageReference.Invalid) {
        self.init(
            .invalidArgument, error.description, remedy: "write [host[:port]/]repository[:tag][@sha256:…]",
            underlying: error)
    }
}
