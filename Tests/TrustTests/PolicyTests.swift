import OCISpec
import Testing

@testable import Trust

@Suite("Policies")
struct PolicyTests {
    private static let key = Signer.make(.ed25519).publicPEM

    static func policy(_ text: String) throws -> TrustPolicy {
        try TrustPolicy(parsing: Array(text.utf8), name: "policy.json") { name throws(TrustError) in
            if name == "missing.pem" { throw TrustError("no \(name)", remedy: "put it there") }
            return name == "broken.pem" ? [1, 2, 3] : key
        }
    }

    private static let rules = """
        {"default": "reject", "rules": [
          {"images": "registry.example", "require": "accept"},
          {"images": "registry.example/team/*", "require": "signed", "keys": ["team.pem"]},
          {"images": "registry.example/team/open/*", "require": "accept"},
          {"images": "registry.example/team/model", "require": "reject"},
          {"images": "registry.example/team/model:v1", "require": "accept"},
          {"images": ["docker.io/busybox", "localhost:5000"], "require": "accept"},
          {"images": "local:/srv/models/*", "require": "accept"},
          {"images": "local:/srv/models/bad.tar", "require": "reject"}
        ]}
        """

    @Test(
        "the most specific rule decides, and without one the default",
        arguments: [
            ("registry.example/other:v1", "accept"), ("registry.example/team/x:v1", "signed"),
            ("registry.example/team/deep/x:v1", "signed"), ("registry.example/team/open/x:v1", "accept"),
            ("registry.example/team/model:v2", "reject"), ("registry.example/team/model:v1", "accept"),
            ("registry.example/team", "accept"), ("registry.example/teams/x", "accept"), ("busybox", "accept"),
            ("busybox:1.36", "accept"), ("alpine", "reject"), ("localhost:5000/x", "accept"),
            ("localhost:5001/x", "reject"),
            ("registry.example/team/x@sha256:\(String(repeating: "a", count: 64))", "signed"),
        ])
    func specific(name: String, word: String) throws {
        let policy = try Self.policy(Self.rules)
        let requirement = policy.requirement(for: try ImageReference(parsing: name))
        switch (requirement, word) {
        case (.accept, "accept"), (.reject, "reject"), (.signed, "signed"): break
        default: Issue.record("\(name): \(requirement), not \(word)")
        }
    }

    @Test("a local file is admitted by a rule for its path, or by what is demanded of the names in it")
    func local() throws {
        let policy = try Self.policy(Self.rules)
        try policy.admit(localPath: "/srv/models/a.tar", references: ["registry.example/team/x:v1"])
        try policy.admit(localPath: "/tmp/a.tar", references: ["registry.example/other:v1"])
        for (path, references, reason) in [
            ("/srv/models/bad.tar", ["registry.example/other:v1"], "rejects local files"),
            ("/tmp/a.tar", ["registry.example/team/x:v1"], "demands signatures of registry.example/team/x:v1"),
            ("/tmp/a.tar", ["registry.example/other:v1", "registry.example/team/x:v1"], "demands signatures"),
            ("/tmp/a.tar", [], "rejects images without a name"),
            (nil, ["registry.example/team/x:v1"], "standard input"),
            ("/srv/models2/a.tar", ["registry.example/team/x:v1"], "demands"),
        ] as [(String?, [String], String)] {
            let error = try #require(throws: TrustError.self) {
                try policy.admit(localPath: path, references: references)
            }
            #expect(error.message.contains(reason), "\(error)")
        }
    }

    @Test(
        "what is not understood in a policy is refused with its place",
        arguments: [
            ("[]", "an object is expected"), ("{}", "default: is missing"), (#"{"default": "maybe"}"#, "default"),
            (#"{"default": "accept", "rule": []}"#, "rule: is unknown"),
            (#"{"default": "accept", "rules": [{"images": "x.example"}]}"#, "rules[0].require: is missing"),
            (#"{"default": "accept", "rules": [{"images": "x.example", "require": "sign"}]}"#, "rules[0].require"),
            (#"{"default": "accept", "rules": [{"images": "x.example", "require": "signed"}]}"#, "rules[0].keys"),
            (
                #"{"default": "accept", "rules": [{"images": "x.example", "require": "signed", "keys": []}]}"#,
                "nothing could ever be accepted"
            ),
            (
                #"{"default": "accept", "rules": [{"images": "x.example", "require": "accept", "keys": ["a"]}]}"#,
                "belongs to \"signed\" only"
            ),
            (#"{"default": "accept", "rules": [{"images": "busybox", "require": "reject"}]}"#, "rules[0].images"),
            (#"{"default": "accept", "rules": [{"images": "*.example", "require": "reject"}]}"#, "rules[0].images"),
            (#"{"default": "accept", "rules": [{"images": "local:x", "require": "reject"}]}"#, "rules[0].images"),
            (#"{"default": "accept", "rules": [{"images": "local:/a/../b", "require": "reject"}]}"#, "images"),
            (#"{"default": "accept", "rules": [{"images": [], "require": "reject"}]}"#, "about nothing"),
            (
                """
                {"default": "accept", "rules": [{"images": "x.example", "require": "reject"},
                 {"images": "x.example/*", "require": "accept"}]}
                """, "earlier rule"
            ),
            (
                """
                {"default": "accept", "rules": [{"images": "x.example", "require": "signed", "keys": ["a"],
                 "identity": "none"}]}
                """, "identity"
            ),
            (
                """
                {"default": "accept", "rules": [{"images": "x.example", "require": "signed", "keys": ["a"],
                 "copyOf": "x.example"}]}
                """, "copyOf"
            ),
            (
                #"{"default": "accept", "rules": [{"images": "x.example", "require": "signed", "keys": ["missing.pem"]}]}"#,
                "missing.pem"
            ),
            (
                #"{"default": "accept", "rules": [{"images": "x.example", "require": "signed", "keys": ["broken.pem"]}]}"#,
                "broken.pem"
            ),
        ])
    func malformed(text: String, reason: String) throws {
        let error = try #require(throws: TrustError.self) { try Self.policy(text) }
        #expect(error.message.contains(reason), "\(error)")
    }
}
