/// What a token lets its bearer do, as the token specification writes it: `repository:team/app:pull,push`. Several
/// resources can stand side by side, as the mount of another repository's blob needs.
struct AccessScopes: Sendable, Hashable {
    /// By resource, such as `repository:team/app`; what has no actions stands by itself.
    private var actions: [String: Set<String>] = [:]

    static let none = AccessScopes()

    init() {}

    /// As a challenge lists them, separated by spaces. The name in the middle may contain colons.
    init(parsing text: String) {
        for part in text.split(separator: " ") {
            guard let first = part.firstIndex(of: ":"), let last = part.lastIndex(of: ":"), first < last else {
                actions[String(part), default: []] = []
                continue
            }
            let names = part[part.index(after: last)...].split(separator: ",").map(String.init)
            actions[String(part[..<last]), default: []].formUnion(names)
        }
    }

    static func pull(_ repository: String) -> AccessScopes { AccessScopes(parsing: "repository:\(repository):pull") }

    static func push(_ repository: String) -> AccessScopes {
        AccessScopes(parsing: "repository:\(repository):pull,push")
    }

    var isEmpty: Bool { actions.isEmpty }

    /// One text a resource, in a fixed order.
    var texts: [String] {
        actions.sorted { $0.key < $1.key }.map { resource, actions in
            actions.isEmpty ? resource : "\(resource):\(actions.sorted().joined(separator: ","))"
        }
    }

    func union(_ other: AccessScopes) -> AccessScopes {
        var both = self
        both.actions.merge(other.actions) { $0.union($1) }
        return both
    }

    /// Whether a token for these also does for `other`.
    func covers(_ other: AccessScopes) -> Bool {
        other.actions.allSatisfy { resource, wanted in actions[resource].map { $0.isSuperset(of: wanted) } ?? false }
    }
}
