import NIOSSL

/// A certificate authority in a directory of its own, whose certificates openssl makes.
final class TestAuthority: Sendable {
    static let isPossible = Command.exists("openssl")

    let directory: TemporaryDirectory
    var certificate: String { "\(directory.path)/authority.pem" }

    init() throws {
        directory = try TemporaryDirectory()
        try Command.run(
            ["openssl", "req", "-x509"] + Self.key + [
                "-days", "2", "-subj", "/CN=mlrun test authority", "-keyout", "\(directory.path)/authority.key", "-out",
                certificate,
            ])
    }

    private static let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    /// Signs a certificate for these alternative names; returns the files of it and its key.
    func issue(
        _ name: String, for names: String = "IP:127.0.0.1", days: Int = 2
    ) throws -> (certificate: String, key: String) {
        let base = "\(directory.path)/\(name)"
        try Command.run(
            ["openssl", "req"] + Self.key + [
                "-subj", "/CN=\(name)", "-addext", "subjectAltName=\(names)", "-keyout", "\(base).key", "-out",
                "\(base).csr",
            ])
        try Command.run([
            "openssl", "x509", "-req", "-in", "\(base).csr", "-CA", certificate, "-CAkey",
            "\(directory.path)/authority.key", "-CAcreateserial", "-days", "\(days)", "-copy_extensions", "copy",
            "-out",
            "\(base).cert",
        ])
        return ("\(base).cert", "\(base).key")
    }

    /// What a server needs to present such a certificate; with `clients` it wants one signed by this authority.
    func context(_ files: (certificate: String, key: String), clients: Bool = false) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(files.certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: files.key, format: .pem)))
        if clients {
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .file(certificate)
        }
        return try NIOSSLContext(configuration: configuration)
    }
}
