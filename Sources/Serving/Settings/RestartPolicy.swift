/// Whether a process that ended is started again; Docker's words and meanings.
public enum RestartPolicy: Sendable, Equatable {
    case no
    case always
    /// As ``always``, but a service that the user stopped stays stopped when the host starts again.
    case unlessStopped
    /// Only after a non-zero exit, at most this many times in a row; nil for no maximum.
    case onFailure(maximum: Int?)

    /// `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`.
    public init(parsing text: String) throws(SettingError) {
        let remedy = "write no, always, unless-stopped, on-failure or on-failure:N, such as on-failure:3"
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        switch parts[0] {
        case "on-failure" where parts.count == 2:
            guard let maximum = Int(parts[1]), maximum > 0 else {
                throw SettingError("restart policy", text, "\"\(parts[1])\" is no number above 0", remedy: remedy)
            }
            self = .onFailure(maximum: maximum)
        case "on-failure": self = .onFailure(maximum: nil)
        case "no", "always", "unless-stopped":
            if parts.count == 2 {
                throw SettingError(
                    "restart policy", text, "only on-failure takes a number of attempts", remedy: remedy)
            }
            self = parts[0] == "no" ? .no : parts[0] == "always" ? .always : .unlessStopped
        default:
            throw SettingError("restart policy", text, "\"\(parts[0])\" is unknown", remedy: remedy)
        }
    }

    /// The form that ``init(parsing:)`` reads.
    public var text: String {
        switch self {
        case .no: "no"
        case .always: "always"
        case .unlessStopped: "unless-stopped"
        case .onFailure(let maximum): maximum.map { "on-failure:\($0)" } ?? "on-failure"
        }
    }

    /// Whether a replica that ended by itself is started again.
    ///
    /// - Parameter failuresInARow: how often it ended since it was last healthy, this time included.
    public func restarts(after exit: ReplicaExit, failuresInARow: Int) -> Bool {
        switch self {
        case .no: false
        case .always, .unlessStopped: true
        case .onFailure(let maximum): !exit.isSuccess && failuresInARow <= (maximum ?? .max)
        }
    }
}
