/// One concrete check to run against a replica: what to do, and what to make of the answer.
public enum ProbeCheck: Sendable, Hashable {
    /// `GET path` on the replica's loopback.
    case http(port: UInt16, path: String, expecting: HTTPExpectation)
    /// connect(2) on the replica's loopback.
    case tcp(port: UInt16)
    /// A command inside the container, without a shell.
    case exec([String])
}

/// What an HTTP answer must be for a pass.
public enum HTTPExpectation: Sendable, Hashable {
    /// A status from 200 to 399.
    case success
    /// Status 200 exactly.
    case ok
    /// Success, and this member of the JSON body has one of these values.
    case field([String], values: [String])
    /// Success, and this member of the JSON body is an array with at least one element.
    case nonEmptyArray([String])
    /// Success, and the body contains this text.
    case body(String)
    /// Success, and the member is there with a value other than these.
    case fieldOtherThan([String], values: [String])
    /// Any HTTP answer at all.
    case anyAnswer
}

/// What came back from running a ``ProbeCheck``.
public enum ProbeAnswer: Sendable, Equatable {
    /// Status and at most 64 KiB of the body.
    case http(status: Int, body: [UInt8])
    case connected
    /// Exit code and the first 4 KiB of the output.
    case exec(exitCode: Int32, output: String)
    /// Nobody listens on the port.
    case refused
    /// Connected, but what came back was no HTTP.
    case notHTTP
    case timedOut
    /// Anything else, said in words: a reset connection, a command that could not be started.
    case failed(String)
}
