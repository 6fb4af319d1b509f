internal import AsyncHTTPClient
internal import NIOCore
internal import NIOSSL

/// What connections must have in common to share a pool.
struct ConnectionRoute: Sendable, Hashable {
    var tls = TLSSettings.standard
    var connectTimeout: Duration
    var proxy: Proxy?

    /// How async-http-client is to connect; `authorities` are trusted beside the system's and the route's own.
    func clientConfiguration(authorities: [String]) throws(RegistryError) -> HTTPClient.Configuration {
        var settings = HTTPClient.Configuration(
            tlsConfiguration: try tls.configuration(authorities: authorities), redirectConfiguration: .disallow,
            timeout: .init(connect: TimeAmount(connectTimeout)), ignoreUncleanSSLShutdown: false,
            decompression: .disabled)
        if let proxy {
            settings.proxy =
                switch proxy.kind {
                case .http:
                    .server(
                        host: proxy.host, port: proxy.port,
                        authorization: proxy.basic.map { .basic(credentials: $0) })
                case .socks: .socksServer(host: proxy.host, port: proxy.port)
                }
        }
        // One connection a download: layers never share the window of one HTTP/2 connection.
        settings.httpVersion = .http1Only
        settings.connectionPool.retryConnectionEstablishment = false
        settings.connectionPool.idleTimeout = .seconds(20)
        return settings
    }
}

extension TLSSettings {
    /// For NIOSSL, with all files read.
    func configuration(authorities common: [String]) throws(RegistryError) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if !verifiesCertificate { configuration.certificateVerification = .none }
        for file in common + authorities {
            do {
                configuration.additionalTrustRoots.append(.certificates(try NIOSSLCertificate.fromPEMFile(file)))
            } catch {
                throw RegistryError(
                    .tls, "cannot read certificate authorities from \(file): \(error)",
                    remedy: "name a readable file of PEM certificates")
            }
        }
        guard let client = clientCertificates.first else { return configuration }
        do {
            let chain = try NIOSSLCertificate.fromPEMFile(client.certificate)
            configuration.certificateChain = chain.map { .certificate($0) }
        } catch {
            throw RegistryError(
                .tls, "cannot read the client certificate \(client.certificate): \(error)",
                remedy: "name a readable file with a PEM certificate")
        }
        do {
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: client.key, format: .pem))
        } catch {
            throw RegistryError(
                .tls, "cannot read the key \(client.key) of the client certificate: \(error)",
                remedy: "name a readable file with an unencrypted PEM key")
        }
        return configuration
    }
}
