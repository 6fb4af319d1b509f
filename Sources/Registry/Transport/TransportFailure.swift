internal import AsyncHTTPClient
internal import Glibc
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL

/// Turns the errors of the network stack into sentences that say what failed, on which host, and what to do.
enum TransportFailure {
    /// `proxy` is what was connected to in place of `address`, `tls` the settings of the connection.
    static func explain(
        _ error: any Error, address: WebAddress, proxy: Proxy? = nil, tls: TLSSettings = .standard
    ) -> RegistryError {
        if let proxy, let failure = explain(error, of: proxy, address: address) { return failure }
        let host = address.hostAndPort
        switch error {
        case is CancellationError: return .cancelled("the request to \(host)")
        case let silence as ResponseReceiver.Silence: return explain(silence, host: host)
        case let error as NIOConnectionError: return explain(error, address: address)
        case let error as HTTPClientError: return explain(error, address: address)
        case HTTPParserError.invalidEOFState: return closedEarly(host)
        case let error as HTTPParserError:
            return RegistryError(
                .server, "\(host) does not answer in HTTP: \(error)", remedy: "check the host and port",
                isTransient: true, suggestsOtherScheme: true)
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError: return explainTLS(error, address: address, tls)
        // A host given as an address is connected to without the wrapping of NIOConnectionError.
        case let error as IOError where error.errnoCode == ECONNREFUSED: return refused(address)
        case let error as IOError where [ENETUNREACH, EHOSTUNREACH, ETIMEDOUT, EADDRNOTAVAIL].contains(error.errnoCode):
            return unreachable(address, reason(error.errnoCode))
        case let error as IOError: return broken(host, reason(error.errnoCode))
        case ChannelError.connectTimeout: return unreachable(address, "no answer in time")
        default: return broken(host, "\(error)")
        }
    }

    private static func broken(_ host: String, _ reason: String) -> RegistryError {
        RegistryError(
            .network, "the connection to \(host) broke: \(reason)",
            remedy: "check the network and try again", isTransient: true)
    }

    private static func explain(_ silence: ResponseReceiver.Silence, host: String) -> RegistryError {
        let what = silence.isBeforeHead ? "did not answer for" : "stopped sending for"
        let drip = "sent only \(silence.bytes) bytes in"
        return RegistryError(
            .timeout, "\(host) \(silence.bytes > 0 ? drip : what) \(seconds(silence.duration))",
            remedy: "check the network and the registry, and try again", isTransient: true)
    }

    private static func explain(_ error: NIOConnectionError, address: WebAddress) -> RegistryError {
        if error.connectionErrors.isEmpty {
            let cause = error.dnsAError ?? error.dnsAAAAError
            let unknown = cause as? SocketAddressError.UnknownHost
            return RegistryError(
                .network,
                "cannot resolve the host name \(address.host): \(unknown?.errorDescription.lowercased() ?? describe(cause))",
                remedy: "check the spelling of the registry's name, and /etc/resolv.conf",
                isTransient: unknown?.errorCode == Int(EAI_AGAIN))
        }
        // Addresses are tried one after the other; a refusal says more than an address family that is not there.
        let numbers = error.connectionErrors.compactMap { ($0.error as? IOError)?.errnoCode }
        if numbers.contains(ECONNREFUSED) { return refused(address) }
        if error.connectionErrors.contains(where: { $0.error is ChannelError }) {
            return unreachable(address, "no answer in time")
        }
        let texts = error.connectionErrors.map { describe($0.error) }
        return unreachable(address, texts.first ?? "no address answered")
    }

    private static func closedEarly(_ host: String) -> RegistryError {
        RegistryError(
            .network, "\(host) closed the connection before its answer was complete",
            remedy: "check the network and try again", isTransient: true, suggestsOtherScheme: true)
    }

    private static func refused(_ address: WebAddress) -> RegistryError {
        RegistryError(
            .network, "cannot connect to \(address.hostAndPort): \(reason(ECONNREFUSED))",
            remedy: "check that the registry is running and listens on port \(address.port)",
            suggestsOtherScheme: true)
    }

    private static func unreachable(_ address: WebAddress, _ reason: String) -> RegistryError {
        RegistryError(
            .network, "cannot connect to \(address.hostAndPort): \(reason)",
            remedy: "check the network, a firewall on the way, and that the registry is running", isTransient: true)
    }

    private static func explain(_ error: HTTPClientError, address: WebAddress) -> RegistryError {
        let host = address.hostAndPort
        switch error {
        case .connectTimeout, .getConnectionFromPoolTimeout: return unreachable(address, "no answer in time")
        case .tlsHandshakeTimeout:
            return RegistryError(
                .tls, "\(host) did not finish the TLS handshake in time", remedy: "check that \(host) speaks TLS",
                isTransient: true, suggestsOtherScheme: true)
        case .remoteConnectionClosed: return closedEarly(host)
        case .cancelled: return .cancelled("the request to \(host)")
        case .invalidURL, .emptyHost:
            return RegistryError(.server, "\"\(address.text)\" is no usable URL", remedy: "check the registry's name")
        default: return broken(host, error.description)
        }
    }

    /// What failed between this machine and the proxy; nil if it was something beyond.
    private static func explain(_ error: any Error, of proxy: Proxy, address: WebAddress) -> RegistryError? {
        let way = "the proxy \(proxy.hostAndPort)"
        let remedy = "check HTTPS_PROXY and HTTP_PROXY, or add \(address.host) to NO_PROXY"
        switch error {
        case let error as NIOConnectionError:
            let cause = error.connectionErrors.first?.error ?? error.dnsAError ?? error.dnsAAAAError
            return RegistryError(
                .network, "cannot connect to \(way) on the way to \(address.hostAndPort): \(describe(cause))",
                remedy: remedy, isTransient: true)
        case let error as IOError where error.errnoCode == ECONNREFUSED:
            return RegistryError(
                .network, "cannot connect to \(way) on the way to \(address.hostAndPort): \(reason(ECONNREFUSED))",
                remedy: remedy)
        case let error as HTTPClientError where error == .proxyAuthenticationRequired:
            return RegistryError(
                .unauthorized, "\(way) wants a user name and password, or refuses those that it was given",
                remedy: "write them into HTTPS_PROXY: http://user:password@\(proxy.hostAndPort)")
        case let error as HTTPClientError where error == .invalidProxyResponse:
            return RegistryError(
                .network, "\(way) refuses to connect to \(address.hostAndPort)", remedy: remedy, isTransient: true)
        case let error as HTTPClientError where [.httpProxyHandshakeTimeout, .socksHandshakeTimeout].contains(error):
            return RegistryError(
                .timeout, "\(way) did not connect to \(address.hostAndPort) in time", remedy: remedy, isTransient: true)
        default: return nil
        }
    }

    static func isUntrustedCertificate(_ error: any Error) -> Bool {
        guard error is NIOSSLError || error is BoringSSLError || error is NIOSSLExtraError else { return false }
        let text = "\(error)"
        return text.contains("CERTIFICATE_VERIFY_FAILED") || text.contains("unableToValidateCertificate")
            || text.contains("failedToValidateHostname")
    }

    private static func explainTLS(_ error: any Error, address: WebAddress, _ tls: TLSSettings) -> RegistryError {
        let host = address.hostAndPort
        let text = "\(error)"
        if ["CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE_ON_CLIENT_HELLO"].contains(
            where: { text.contains($0) })
        {
            guard let shown = tls.clientCertificates.first else {
                return RegistryError(
                    .tls, "\(host) wants a client certificate, and none is set for it",
                    remedy: "put it into /etc/mlrun/certs.d/\(host)/client.cert and its key into client.key beside it")
            }
            return RegistryError(
                .tls, "\(host) refuses the client certificate \(shown.certificate)",
                remedy: "check that it has not expired and that its authority is one that \(host) knows")
        }
        if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
            return RegistryError(
                .tls, "\(host) answers a TLS handshake with something else, most likely plain HTTP",
                remedy: "serve the registry with TLS, or list \(host) as an insecure registry",
                suggestsOtherScheme: true)
        }
        if isUntrustedCertificate(error) {
            return RegistryError(
                .tls, "the certificate of \(host) is not trusted, or not valid for this name or date",
                remedy: "put the authority's PEM certificate into /etc/mlrun/certs.d/\(host)/ca.crt")
        }
        if case .uncleanShutdown? = error as? NIOSSLError {
            return broken(host, "it ended in the middle of the encrypted stream")
        }
        return RegistryError(
            .tls, "no encrypted connection to \(host): \(text)", remedy: "check that \(host) speaks TLS 1.2 or later",
            suggestsOtherScheme: true)
    }

    private static func describe(_ error: (any Error)?) -> String {
        switch error {
        case let error as IOError: reason(error.errnoCode)
        case let error?: "\(error)"
        case nil: "no reason was given"
        }
    }

    private static func reason(_ number: Int32) -> String {
        guard let text = strerror(number) else { return "error \(number)" }
        let sentence = String(cString: text)
        return sentence.prefix(1).lowercased() + sentence.dropFirst()
    }

    private static func seconds(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let tenths = attoseconds / 100_000_000_000_000_000
        return tenths == 0 ? "\(seconds) s" : "\(seconds).\(tenths) s"
    }
}
