import OCISpec

@testable import Registry

extension FuzzTarget {
    static let registry = [
        challenge, credentials, address, manifest, retryAfter, hosts, proxy, contentRange, certificate,
    ]

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

    /// containerd's hosts.toml.
    private static let hosts = FuzzTarget(name: "hosts") { bytes throws(FuzzFinding) in
        let file = "/etc/mlrun/certs.d/registry.example/hosts.toml"
        guard let found = try? HostFile(parsing: bytes, file: file) else { return }
        for host in found.mirrors + [found.server] {
            try promise(!host.path.hasSuffix("/"), "the path \(host.path) ends with a slash")
            let files = host.tls.authorities + host.tls.clientCertificates.flatMap { [$0.certificate, $0.key] }
            try promise(files.allSatisfy { $0.hasPrefix("/") }, "a file of \(files) is sought where mlrun stands")
            let isOneLine = host.headers.allSatisfy { !$0.value.utf8.contains(0x0A) && !$0.value.utf8.contains(0x0D) }
            try promise(isOneLine, "a header holds another")
        }
    }

    /// NO_PROXY, a proxy's URL, and the host to go to.
    private static let proxy = FuzzTarget(name: "proxy") { bytes throws(FuzzFinding) in
        let parts = bytes.parts(3)
        _ = IPAddress(resolvable: parts[2])
        guard let address = WebAddress(parsing: "https://\(parts[2])/") else { return }
        let settings = ProxySettings(https: parts[1], exceptions: parts[0])
        let loopback = WebAddress(scheme: .https, host: "127.0.0.1", port: 5000, target: "/")
        try promise(settings.isException(loopback), "loopback is not reached directly")
        let everything = ProxySettings(https: parts[1], exceptions: "\(parts[0]),*")
        try promise(everything.isException(address), "* does not cover \(address.host)")
        if let proxy = try? Proxy(parsing: parts[1], name: "HTTPS_PROXY") {
            try promise((1...65535).contains(proxy.port), "the port \(proxy.port)")
        }
    }

    private static let contentRange = FuzzTarget(name: "content-range") { bytes throws(FuzzFinding) in
        guard let range = ContentRange(bytes.text) else { return }
        try promise(0 <= range.first && range.first <= range.last, "\(range) is no range")
        try promise(range.total.map { range.last < $0 } ?? true, "\(range) ends behind its end")
    }

    private static let certificate = FuzzTarget(name: "certificate") { bytes throws(FuzzFinding) in
        guard let names = CertificateNames(der: bytes) else { return }
        let isPrintable = (names.subject + names.issuer).utf8.allSatisfy { (0x20...0x7E).contains($0) }
        try promise(isPrintable, "a name commands the terminal")
    }
}
