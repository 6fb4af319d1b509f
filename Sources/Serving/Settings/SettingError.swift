/// A text of the user that is no valid value of its option: what is wrong, and the right form.
public struct SettingError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What the text should have been, such as `port` or `memory size`.
    public let kind: String
    /// As it was given.
    public let text: String
    /// What is wrong with it.
    public let reason: String
    /// The right form with an example, such as `write [ip:]host:container[/tcp|/http], such as 8080:8000`.
    public let remedy: String

    public init(_ kind: String, _ text: String, _ reason: String, remedy: String) {
        self.kind = kind
        self.text = text
        self.reason = reason
        self.remedy = remedy
    }

    public var description: String { "invalid \(kind) \"\(text)\": \(reason)" }
}
