/// A question to a replica whose answer says whether it is well, as the user wrote it.
public enum Probe: Sendable, Equatable {
    /// Never asked.
    case none
    /// Found out from the image's name, port and HEALTHCHECK (``ServerContract``).
    case automatic
    /// A status from 200 to 399 is a pass, as with Kubernetes. A nil port is the service's first.
    case http(path: String, port: UInt16?)
    /// A connection that is accepted is a pass.
    case tcp(port: UInt16?)
    /// Exit code 0 of a command run in the container is a pass.
    case exec([String])
    /// A status from 200 to 399, and a member of the JSON answer that has one of these values.
    case json(path: String, port: UInt16?, field: [String], values: [String])
}
