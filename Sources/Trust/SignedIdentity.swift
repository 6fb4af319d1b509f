public import OCISpec

/// Which name of an image a signature must be for.
public enum SignedIdentity: Sendable, Equatable {
    /// The repository that is pulled from; the tag is left open, since `cosign sign` writes none.
    case repository
    /// The very reference that is pulled, with its tag or digest.
    case exact
    /// Another repository, of which this one is a copy.
    case copyOf(ImageReference)
    /// Whatever name the signature is for: only the digest counts.
    case any

    /// Why a signature for `signed` does not cover `pulled`; nil when it does.
    func objection(to signed: String, for pulled: ImageReference) -> String? {
        if case .any = self { return nil }
        guard let parsed = try? ImageReference(parsing: signed) else {
            return "it is for \"\(Self.printable(signed))\", which is no image reference"
        }
        let wanted: ImageReference
        if case .copyOf(let other) = self { wanted = other } else { wanted = pulled }
        guard parsed.registry == wanted.registry, parsed.repository == wanted.repository else {
            return "it is for \(parsed.registry)/\(parsed.repository), not \(wanted.registry)/\(wanted.repository)"
        }
        guard case .exact = self else { return nil }
        // A bare repository is parsed as its tag "latest": then the signature speaks of no tag at all.
        let names = signed.hasSuffix(":\(parsed.tag ?? "")") || signed.contains("@")
        let isSame = names && (parsed.digest.map { $0 == pulled.digest } ?? (parsed.tag == pulled.tag))
        return isSame ? nil : "it is for \(Self.printable(signed)), not exactly \(pulled)"
    }

    private static func printable(_ text: String) -> String {
        String(text.filter { $0.isASCII && !$0.isNewline && $0 >= " " }.prefix(200))
    }
}
