internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import NIOSSL

/// Says what is wrong with a server's certificate. TLS itself only says that it failed, so the server is connected to
/// once more, nothing is sent, and what it shows is looked at.
enum CertificateReport {
    /// An error that names the certificate and what to do; nil if the server shows none that explains the failure.
    static func explain(_ address: WebAddress, timeout: TimeAmount) async -> RegistryError? {
        guard let chain = await chain(of: address, timeout: timeout), let leaf = chain.first,
            let bytes = try? leaf.toDERBytes(), let names = CertificateNames(der: bytes)
        else { return nil }
        return explain(leaf, names, chain: chain.count, address: address, now: time(nil))
    }

    private static func explain(
        _ leaf: NIOSSLCertificate, _ names: CertificateNames, chain: Int, address: WebAddress, now: time_t
    ) -> RegistryError {
        let host = address.hostAndPort
        let who = "the certificate of \(host) (\(names.subject), issued by \(names.issuer))"
        if leaf.notValidAfter < now {
            return RegistryError(
                .tls, "\(who) expired on \(day(leaf.notValidAfter))",
                remedy: "have it renewed; if that day is yet to come, set this machine's clock")
        }
        if leaf.notValidBefore > now {
            return RegistryError(
                .tls, "\(who) is valid only from \(day(leaf.notValidBefore)) on", remedy: "set this machine's clock")
        }
        let valid = alternativeNames(of: leaf)
        if !valid.contains(where: { matches($0, address.host) }) {
            let list = valid.isEmpty ? "no host at all" : valid.prefix(5).joined(separator: ", ")
            return RegistryError(
                .tls, "\(who) is for \(list), not for \(address.host)",
                remedy: "use a name that it is for, or have \(address.host) added to its alternative names")
        }
        let cause =
            names.subject == names.issuer
            ? "is signed by itself" : "is signed by an authority that this machine does not trust"
        return RegistryError(
            .tls,
            "the certificate of \(host) is not trusted: it (\(names.subject), issued by \(names.issuer)) \(cause)",
            remedy: "put the authority's PEM certificate into /etc/mlrun/certs.d/\(host)/ca.crt")
    }

    private static func alternativeNames(of leaf: NIOSSLCertificate) -> [String] {
        guard let names = try? leaf._subjectAlternativeNames() else { return [] }
        return names.compactMap { name in
            let bytes = Array(name.contents)
            switch name.nameType {
            case .dnsName: return printable(bytes).lowercased()
            case .ipAddress where bytes.count == 4: return bytes.map(String.init).joined(separator: ".")
            case .ipAddress where bytes.count == 16:
                var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
                guard inet_ntop(AF_INET6, bytes, &text, socklen_t(text.count)) != nil else { return nil }
                return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            default: return nil
            }
        }
    }

    private static func matches(_ name: String, _ host: String) -> Bool {
        if let address = IPAddress(host) { return IPAddress(name) == address }
        guard name.hasPrefix("*.") else { return name == host }
        return host.drop { $0 != "." } == name.dropFirst()
    }

    static func printable(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.prefix(200).map { (0x20...0x7E).contains($0) ? $0 : 0x3F }, as: UTF8.self)
    }

    private static func day(_ moment: time_t) -> String {
        var moment = moment
        var parts = tm()
        gmtime_r(&moment, &parts)
        let pad = { (number: Int32) in number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(pad(parts.tm_mon + 1))-\(pad(parts.tm_mday))"
    }

    /// The certificates that a server shows, its own first.
    private static func chain(of address: WebAddress, timeout: TimeAmount) async -> [NIOSSLCertificate]? {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let promise = loop.makePromise(of: [NIOSSLCertificate].self)
        let isName = IPAddress(resolvable: address.host) == nil
        do {
            let context = try NIOSSLContext(configuration: .makeClientConfiguration())
            let channel = try await ClientBootstrap(group: loop)
                .connectTimeout(timeout)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let handler = try NIOSSLClientHandler(
                            context: context, serverHostname: isName ? address.host : nil,
                            customVerificationCallback: { certificates, verdict in
                                promise.succeed(certificates)
                                // Seen is all it had to be.
                                verdict.succeed(.failed)
                            })
                        try channel.pipeline.syncOperations.addHandler(handler)
                    }
                }
                .connect(host: address.host, port: address.port).get()
            loop.scheduleTask(in: timeout) { promise.fail(ChannelError.connectTimeout(timeout)) }
            channel.closeFuture.whenComplete { _ in promise.fail(ChannelError.eof) }
            let certificates = try await promise.futureResult.get()
            channel.close(promise: nil)
            return certificates
        } catch {
            promise.fail(error)
            return nil
        }
    }
}

/// Who a certificate is for and who signed it, read from its DER form (X.509, RFC 5280, section 4.1).
struct CertificateNames: Equatable {
    let issuer: String
    let subject: String

    /// Nil for anything that has not this form.
    init?(der bytes: [UInt8]) {
        var outer = DERReader(bytes[...])
        guard var certificate = outer.enter(0x30), var content = certificate.enter(0x30) else { return nil }
        // [0] version, serial number, signature algorithm, issuer, validity, subject.
        if content.peek() == 0xA0 { _ = content.next() }
        guard content.next()?.tag == 0x02, content.next()?.tag == 0x30, let issuer = content.next(), issuer.tag == 0x30,
            content.next()?.tag == 0x30, let subject = content.next(), subject.tag == 0x30
        else { return nil }
        self.issuer = Self.name(issuer.value)
        self.subject = Self.name(subject.value)
    }

    /// The common name, else the organisation, as the text of an error.
    private static func name(_ bytes: ArraySlice<UInt8>) -> String {
        var attributes: [[UInt8]: String] = [:]
        var sets = DERReader(bytes)
        while var set = sets.enter(0x31) {
            while var pair = set.enter(0x30) {
                guard let type = pair.next(), type.tag == 0x06, let value = pair.next() else { break }
                let key = Array(type.value)
                attributes[key] = attributes[key] ?? CertificateReport.printable(Array(value.value))
            }
        }
        let (commonName, organisation): ([UInt8], [UInt8]) = ([0x55, 4, 3], [0x55, 4, 10])
        if let name = attributes[commonName] { return "CN=\(name)" }
        return attributes[organisation].map { "O=\($0)" } ?? "no name"
    }
}

/// Walks over elements of DER with definite lengths.
private struct DERReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    func peek() -> UInt8? { rest.first }

    mutating func enter(_ tag: UInt8) -> DERReader? {
        let before = rest
        guard let element = next(), element.tag == tag else {
            rest = before
            return nil
        }
        return DERReader(element.value)
    }

    mutating func next() -> (tag: UInt8, value: ArraySlice<UInt8>)? {
        guard let tag = rest.popFirst(), let first = rest.popFirst() else { return nil }
        var length = Int(first)
        if first >= 0x80 {
            let count = Int(first & 0x7F)
            guard (1...4).contains(count), rest.count >= count else { return nil }
            length = rest.prefix(count).reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(count)
        }
        guard rest.count >= length else { return nil }
        defer { rest = rest.dropFirst(length) }
        return (tag, rest.prefix(length))
    }
}
