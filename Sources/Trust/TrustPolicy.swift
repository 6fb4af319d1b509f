public import OCISpec

/// A demand for signatures.
public struct SignatureRequirement: Sendable, Equatable {
    /// One of these must have signed.
    public var keys: [VerificationKey]
    /// Which name the signature must be for.
    public var identity: SignedIdentity
    /// Who demands it, as errors say it.
    public var demander: String

    public init(keys: [VerificationKey], identity: SignedIdentity = .repository, demander: String) {
        self.keys = keys
        self.identity = identity
        self.demander = demander
    }
}

/// What is asked of an image before it may come into the store.
public enum TrustRequirement: Sendable, Equatable {
    /// Nothing.
    case accept
    /// It may not.
    case reject
    /// A signature that holds.
    case signed(SignatureRequirement)
}

/// Which images may come into the store: a default, and rules for registries, repositories, tags and local files, of
/// which the most specific one decides.
public struct TrustPolicy: Sendable, Equatable {
    /// One rule.
    struct Rule: Sendable, Equatable {
        var scope: TrustScope
        var requirement: TrustRequirement
    }

    /// Everything is accepted.
    public static let acceptAll = TrustPolicy(fallback: .accept, rules: [], name: "no policy")

    let fallback: TrustRequirement
    let rules: [Rule]
    /// The file it was read from, as errors call it.
    public let name: String

    init(fallback: TrustRequirement, rules: [Rule], name: String) {
        self.fallback = fallback
        self.rules = rules
        self.name = name
    }

    /// Whether nothing is ever refused.
    public var acceptsEverything: Bool { fallback == .accept && rules.allSatisfy { $0.requirement == .accept } }

    /// What is asked of an image of a registry.
    public func requirement(for reference: ImageReference) -> TrustRequirement {
        best { $0.specificity(for: reference) }?.requirement ?? fallback
    }

    /// What is asked of images in a local archive or layout. A rule for the path decides; without one, every name that
    /// the images would get must be free of demands.
    ///
    /// - Parameters:
    ///   - path: Absolute; nil for standard input.
    ///   - references: In full form.
    /// - Throws: ``TrustError`` where they may not come in.
    public func admit(localPath path: String?, references: [String]) throws(TrustError) {
        let source = path ?? "standard input"
        let requirements: [(of: String, TrustRequirement)]
        if let rule = best({ $0.specificity(forLocal: path) }) {
            requirements = [("local files", rule.requirement)]
        } else if references.isEmpty {
            requirements = [("images without a name", fallback)]
        } else {
            requirements = references.map { name in
                let parsed = try? ImageReference(parsing: name)
                return (name, parsed.map { requirement(for: $0) } ?? fallback)
            }
        }
        for (subject, requirement) in requirements {
            let remedy =
                "pull it from its registry, or let a rule of \(name) accept \"\(TrustScope.local(path ?? "-"))\""
            switch requirement {
            case .accept: continue
            case .reject: throw TrustError("\(name) rejects \(subject), so \(source) is refused", remedy: remedy)
            case .signed:
                throw TrustError(
                    "\(name) demands signatures of \(subject), and \(source) is a local archive or layout, which "
                        + "carries none", remedy: remedy)
            }
        }
    }

    private func best(_ specificity: (TrustScope) -> Int?) -> Rule? {
        var best: (rule: Rule, specificity: Int)?
        for rule in rules {
            guard let value = specificity(rule.scope), value > best?.specificity ?? -1 else { continue }
            best = (rule, value)
        }
        return best?.rule
    }
}
