/// How TLS is spoken with one host, beside what holds for all of them.
struct TLSSettings: Sendable, Hashable {
    /// A certificate and its key, each in a PEM file; one file may hold both.
    struct ClientCertificate: Sendable, Hashable {
        var certificate: String
        var key: String
    }

    /// PEM files with authorities to trust beside the system's.
    var authorities: [String] = []
    /// Shown to a server that asks, the first that it accepts.
    var clientCertificates: [ClientCertificate] = []
    /// Off for registries that the user declared insecure.
    var verifiesCertificate = true

    static let standard = TLSSettings()
    static let unverified = TLSSettings(verifiesCertificate: false)
}
