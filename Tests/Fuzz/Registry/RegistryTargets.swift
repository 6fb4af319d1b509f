import OCISpec

@testable import Registry

extension FuzzTarget {
    static let registry = [challenge, credentials, address, manifest, retryAfter]

    private static let challenge = FuzzTarget(name: "challenge") { bytes throws(FuzzFinding) in
        for challenge in AuthenticationChallenge.parse([bytes.text]) {
            try promise(
                challenge.scheme == challenge.scheme.lowercased(), "the scheme \(challenge.scheme) keeps its case")
        }
    }

    /// Docker's config.json and containers-auth.json(5).
    private static let credentials = FuzzTarget(name: "credentials") { bytes throws(FuzzFinding) in
        for registry in ["docker.io", "registry.example:5000"] {
            let repository = RegistryRepository(registry: registry, name: "team/app")
            let entry = try? CredentialFiles.entry(in: bytes, path: "config.json", for: repository)
            guard let basic = entry?.credentials?.basic else { continue }
            let decoded = Base64.decode(String(basic.dropFirst("Basic ".count)))
            try promise(decoded?.contains(UInt8(ascii: ":")) == true, "the credentials cannot be read back")
        }
        try promise(Base64.decode(Base64.encode(bytes)) == bytes, "base64 does not keep the bytes")
    }

    /// An address, and where a `Location` header leads from it.
    private static let address = FuzzTarget(name: "address") { bytes throws(FuzzFinding) in
        let parts = bytes.parts(2)
        guard let address = WebAddress(parsing: parts[0]) else { return }
        try promise(WebAddress(parsing: address.text) == address, "\(parts[0]) is another address once written")
        guard let next = address.resolving(parts[1]) else { return }
        try promise(WebAddress(parsing: next.text) == next, "\(parts[1]) is another address once written")
        let isElsewhere = parts[1].contains("://") || parts[1].hasPrefix("//")
        try promise(
            isElsewhere || next.origin == address.origin, "a path leads from \(address.origin) to \(next.origin)")
    }

    private static let manifest = FuzzTarget(name: "manifest") { bytes throws(FuzzFinding) in
        _ = AnswerFailure.reason(bytes)
        let document = try? ManifestDocument(
            bytes, digest: ContentDigest.of(bytes), contentType: "application/json", expected: nil, name: "image",
            host: "registry.example")
        guard let document else { return }
        let isIndex = MediaType.indexes.contains(document.mediaType)
        if case .index = document.content { try promise(isIndex, "an index is called \(document.mediaType)") }
        if case .manifest = document.content { try promise(!isIndex, "a manifest is called \(document.mediaType)") }
    }

    private static let retryAfter = FuzzTarget(name: "retry-after") { bytes throws(FuzzFinding) in
        guard let wait = AnswerFailure.retryAfter(bytes.text, now: 1_700_000_000) else { return }
        try promise(wait >= .zero, "a wait of \(wait)")
    }
}
