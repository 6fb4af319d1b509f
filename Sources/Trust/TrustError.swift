/// Why an image, a key, a signature or a policy is not trusted: one line of cause and one of remedy.
public struct TrustError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Lower case, no full stop; names the image, the file or the place in a document.
    public let message: String
    /// What to do about it.
    public let remedy: String

    public init(_ message: String, remedy: String) {
        self.message = message
        self.remedy = remedy
    }

    public var description: String { "\(message); \(remedy)" }
}
