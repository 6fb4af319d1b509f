import Testing

@testable import Trust

/// A key and a signature that openssl made.
struct OpenSSLKey: Sendable, CustomTestStringConvertible {
    let algorithm: VerificationKey.Algorithm
    let pem: String
    let signature: String
    var testDescription: String { algorithm.rawValue }

    static let all = [ecdsa, ed25519]

    static let ecdsa = OpenSSLKey(
        algorithm: .ecdsaP256,
        pem: """
            -----BEGIN PUBLIC KEY-----
            MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEoltJ/8uxUP2GNbn9ZTAne/XuCBZT
            Qfq3xsux1ys8BL0r+B3/A6hwEwqzuzChSslFn183FbR7duj5mHk2iNN7CQ==
            -----END PUBLIC KEY-----

            """,
        signature:
            "MEYCIQCQgoVggraSuF9k4S9Z2J8YKMlKwK9C8z524lqpInHmBQIhAI+tJJ0v675xKBY9MooXxdhaFMK8M2Pp8MezTrVfcE+J")

    static let ed25519 = OpenSSLKey(
        algorithm: .ed25519,
        pem: """
            -----BEGIN PUBLIC KEY-----
            MCowBQYDK2VwAyEAyERv6EAvvkKZW8Q9BydW5rwAaBMmQhIlK87+0c2FrDI=
            -----END PUBLIC KEY-----

            """,
        signature:
            "8ZNuiqumuucshmH+rj9+PhXSL0Ju22Edqgw1NjWKH1ye/n3LQsBcdFdgzn3lOFIl6u02GE4l/N2JVWW/bfMIDA==")
}
