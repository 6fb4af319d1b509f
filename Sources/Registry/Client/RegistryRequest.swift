internal import NIOCore
internal import NIOHTTP1

/// One request of a registry, as its protocol sees it: below a repository, with the rights it needs. Where it goes,
/// with which login and over which connection is the ``RegistryRequester``'s business.
struct RegistryRequest: Sendable {
    enum Target: Sendable {
        /// Below `/v2/<repository>/`.
        case path(String)
        /// A URL that the registry named, such as the `Location` of an upload; see
        /// ``RegistryRequester/location(of:)``.
        case address(WebAddress)
        /// `/v2/` itself.
        case root
    }

    var method = HTTPMethod.GET
    var target: Target
    var headers = HTTPHeaders()
    var body: RequestBody?
    /// The rights to ask for, beside those that the registry's challenge names.
    var scopes: AccessScopes
    /// Sent in place of whatever login is known, to the registry itself only.
    var authorization: String?
    /// Whether no login is looked for, nor a challenge answered.
    var isAnonymous = false
    /// The answers that are returned; every other one is thrown as an error.
    var accepted: Set<UInt> = [200]
}

/// The bytes that go with a request.
enum RequestBody: Sendable {
    case bytes([UInt8])
    /// Exactly `length` bytes. The source is made anew, from the first byte on, for each time that they are sent.
    case stream(length: Int64, @Sendable () async throws(RegistryError) -> any RequestBodySource)
}

/// Yields the bytes of a request one piece after the other; nil at the end. The connection sets the pace.
protocol RequestBodySource: Sendable {
    func next() async throws(RegistryError) -> ByteBuffer?
}
