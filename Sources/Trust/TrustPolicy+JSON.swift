internal import OCISpec

extension TrustPolicy {
    /// Reads a policy:
    ///
    /// ```json
    /// {
    ///   "default": "accept",
    ///   "rules": [
    ///     {"images": "registry.example/models/*", "require": "signed", "keys": ["team.pem"]},
    ///     {"images": ["docker.io", "local:*"], "require": "reject"}
    ///   ]
    /// }
    /// ```
    ///
    /// What is not understood is refused, since a rule that is passed over lets in what it should keep out.
    ///
    /// - Parameter readKey: Gives the content of a file of keys, named as the policy names it.
    /// - Throws: ``TrustError`` with the place in the document.
    public init(
        parsing bytes: [UInt8], name: String, readKey: (String) throws(TrustError) -> [UInt8]
    ) throws(TrustError) {
        var keyFailure: TrustError?
        do throws(JSONError) {
            let document = JSONCursor(try JSON(parsing: bytes))
            try Self.allow(["default", "rules"], in: document)
            let fallback = try document.required("default")
            var rules: [Rule] = []
            var known: Set<TrustScope> = []
            for entry in try document.optional("rules")?.elements() ?? [] {
                try Self.allow(["images", "require", "keys", "identity", "copyOf"], in: entry)
                let requirement: TrustRequirement
                do throws(Failure) {
                    requirement = try Self.requirement(entry, policy: name, readKey)
                } catch {
                    switch error {
                    case .document(let error): throw error
                    case .key(let error):
                        keyFailure = error
                        throw entry.failure("")
                    }
                }
                for scope in try Self.scopes(entry.required("images")) {
                    guard known.insert(scope).inserted else {
                        throw try entry.required("images").failure("is the subject of an earlier rule already")
                    }
                    rules.append(Rule(scope: scope, requirement: requirement))
                }
            }
            switch try fallback.string() {
            case "accept": self.init(fallback: .accept, rules: rules, name: name)
            case "reject": self.init(fallback: .reject, rules: rules, name: name)
            default: throw fallback.failure("must be \"accept\" or \"reject\"")
            }
        } catch {
            throw keyFailure
                ?? TrustError(
                    "the policy \(name) cannot be used: \(error)",
                    remedy: "correct it; until then no image is brought into the store")
        }
    }

    private enum Failure: Error {
        case document(JSONError)
        case key(TrustError)
    }

    private static func requirement(
        _ entry: JSONCursor, policy: String, _ readKey: (String) throws(TrustError) -> [UInt8]
    ) throws(Failure) -> TrustRequirement {
        let word: String
        var names: [String] = []
        let identity: SignedIdentity
        do throws(JSONError) {
            let require = try entry.required("require")
            word = try require.string()
            guard ["accept", "reject", "signed"].contains(word) else {
                throw require.failure("must be \"accept\", \"reject\" or \"signed\"")
            }
            if word != "signed" {
                for member in ["keys", "identity", "copyOf"] {
                    if let found = try entry.optional(member) { throw found.failure("belongs to \"signed\" only") }
                }
                return word == "accept" ? .accept : .reject
            }
            let keys = try entry.required("keys")
            names = try keys.strings()
            if names.isEmpty { throw keys.failure("is empty, so nothing could ever be accepted") }
            identity = try self.identity(entry)
        } catch {
            throw .document(error)
        }
        var keys: [VerificationKey] = []
        do throws(TrustError) {
            for name in names { keys.append(try VerificationKey(pem: try readKey(name), name: name)) }
        } catch {
            throw .key(error)
        }
        return .signed(SignatureRequirement(keys: keys, identity: identity, demander: policy))
    }

    private static func identity(_ entry: JSONCursor) throws(JSONError) -> SignedIdentity {
        let word = try entry.optional("identity")
        let copy = try entry.optional("copyOf")
        if let copy {
            if word != nil { throw copy.failure("cannot stand beside identity") }
            let text = try copy.string()
            guard case .repository(let registry, let path) = TrustScope(parsing: text) else {
                throw copy.failure("\"\(text)\" is no repository, such as registry.example/team/model")
            }
            return .copyOf(ImageReference(registry: registry, repository: path, tag: nil))
        }
        switch try word?.string() {
        case nil, "repository": return .repository
        case "exact": return .exact
        case "any": return .any
        default: throw try entry.required("identity").failure("must be \"repository\", \"exact\" or \"any\"")
        }
    }

    private static func scopes(_ images: JSONCursor) throws(JSONError) -> [TrustScope] {
        let cursors: [JSONCursor]
        if case .string = images.value { cursors = [images] } else { cursors = try images.elements() }
        if cursors.isEmpty { throw images.failure("is empty, so the rule is about nothing") }
        var scopes: [TrustScope] = []
        for cursor in cursors {
            let text = try cursor.string()
            guard let scope = TrustScope(parsing: text) else {
                throw cursor.failure(
                    "\"\(text)\" is none of host, host/path/*, host/path, host/path:tag, local:/path, local:/dir/*, "
                        + "local:- and local:*")
            }
            scopes.append(scope)
        }
        return scopes
    }

    private static func allow(_ names: Set<String>, in cursor: JSONCursor) throws(JSONError) {
        for member in try cursor.members() where !names.contains(member.name) {
            throw member.cursor.failure("is unknown; there are \(names.sorted().joined(separator: ", "))")
        }
    }
}
