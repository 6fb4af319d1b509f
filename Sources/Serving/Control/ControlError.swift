public import LinuxSystem
public import OCISpec

/// What the supervisor or the way to it answers when it cannot do what was asked: one line of cause, one of remedy.
public struct ControlError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Lower case, no full stop; names the service, path or field.
    public let message: String
    /// What to do about it, where there is something to say.
    public let remedy: String?
    /// What the program that asked should exit with; Docker's numbers: 125 for mlrun's own failures, 126 for a program
    /// that cannot be executed, 127 for one that is not there, 1 for a wrong name.
    public let exitCode: Int32

    public init(_ message: String, remedy: String? = nil, exitCode: Int32 = 125) {
        self.message = message
        self.remedy = remedy
        self.exitCode = exitCode
    }

    public init(_ error: SystemError, remedy: String? = nil) {
        self.init(error.description, remedy: remedy)
    }

    /// Reads `{"message":…,"remedy":…,"exitCode":…}`.
    public init(_ cursor: JSONCursor) throws(JSONError) {
        message = try cursor.required("message").string()
        remedy = try cursor.optional("remedy")?.string()
        exitCode = try cursor.optional("exitCode")?.integer() ?? 125
    }

    public var json: JSON {
        var object = JSONObject([("message", .string(message))])
        if let remedy { object["remedy"] = .string(remedy) }
        object["exitCode"] = .integer(Int64(exitCode))
        return .object(object)
    }

    public var description: String { remedy.map { "\(message); \($0)" } ?? message }
}
