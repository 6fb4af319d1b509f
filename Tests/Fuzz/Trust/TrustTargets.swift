import OCISpec

@testable import Trust

extension FuzzTarget {
    static let trust = [policy, pem, signedStatement]

    /// A policy gives one answer for every image, and rejects nothing that it was not told to.
    private static let policy = FuzzTarget(name: "policy") { bytes throws(FuzzFinding) in
        let key = Array(
            """
            -----BEGIN PUBLIC KEY-----
            MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
            -----END PUBLIC KEY-----
            """.utf8)
        guard let policy = try? TrustPolicy(parsing: bytes, name: "policy", readKey: { _ in key }) else { return }
        for name in ["busybox", "registry.example/team/model:v1", "localhost:5000/x"] {
            guard let reference = try? ImageReference(parsing: name) else { continue }
            let answer = policy.requirement(for: reference)
            try promise(answer == .accept || !policy.acceptsEverything, "accepts everything, but not \(name)")
        }
        try? policy.admit(localPath: "/srv/a.tar", references: ["registry.example/team/model:v1"])
    }

    private static let pem = FuzzTarget(name: "pem") { bytes throws(FuzzFinding) in
        guard let key = try? VerificationKey(pem: bytes, name: "key") else { return }
        try promise(!key.verifies([], of: bytes), "an empty signature holds")
        try promise(!key.verifies([UInt8](repeating: 0, count: 64), of: bytes), "a signature of zeros holds")
    }

    private static let signedStatement = FuzzTarget(name: "signed-statement") { bytes throws(FuzzFinding) in
        guard let statement = try? SignedStatement(bytes),
            let reference = try? ImageReference(parsing: "registry.example/team/model:v1")
        else { return }
        let objection = SignedIdentity.repository.objection(to: statement.reference, for: reference)
        try promise(
            objection != nil || statement.reference.hasPrefix("registry.example/team/model"),
            "\(statement.reference) passes for \(reference)")
    }
}
