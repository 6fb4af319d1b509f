internal import LinuxSystem
internal import OCISpec

/// Why a container cannot be attached to a CNI network, or detached from it.
struct CNIError: Error, Sendable, Equatable, CustomStringConvertible {
    let message: String
    let remedy: String?

    init(_ message: String, remedy: String? = nil) {
        self.message = message
        self.remedy = remedy
    }

    init(_ error: SystemError) { self.init(error.description) }

    var description: String { remedy.map { "\(message); \($0)" } ?? message }
    var controlError: ControlError { ControlError(message, remedy: remedy) }
}

/// What a plugin says when it fails: an error object on standard output (CNI spec 1.1, section 5, "Error").
struct CNIPluginFailure: Sendable, Equatable {
    let code: Int
    let message: String
    let details: String?

    init(_ cursor: JSONCursor) throws(JSONError) {
        code = try cursor.required("code").integer()
        message = try cursor.required("msg").string()
        details = try cursor.optional("details")?.string()
    }

    /// `msg: details (code 7)`, without repeating what plugins say twice.
    var text: String {
        let words = [message, details ?? ""].filter { !$0.isEmpty }
        let reason =
            words.isEmpty ? CNIPluginFailure.meaning(code) ?? "it does not say why" : words.joined(separator: ": ")
        return "\(reason) (code \(code))"
    }

    var remedy: String? {
        switch code {
        case 1: "set cniVersion in the network's configuration to one that the plugin supports"
        case 2, 6, 7: "correct the network's configuration"
        case 11, 50, 51: "the plugin may be ready later: try again"
        default: nil
        }
    }

    /// The codes that the specification keeps for itself.
    private static func meaning(_ code: Int) -> String? {
        switch code {
        case 1: "incompatible CNI version"
        case 2: "unsupported field in the network's configuration"
        case 3: "container unknown or does not exist"
        case 4: "invalid environment variables"
        case 5: "input or output failed"
        case 6: "content could not be decoded"
        case 7: "invalid network configuration"
        case 11: "try again later"
        case 50: "the plugin is not available"
        case 51: "the plugin is not available, and containers of its network may have limited connectivity"
        default: nil
        }
    }
}
