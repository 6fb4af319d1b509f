/// The name of an image in a registry: `host[:port]/repository[:tag][@digest]`, by the grammar of the distribution
/// project. Short names mean Docker Hub, as they do everywhere: `busybox` is `docker.io/library/busybox:latest`.
public struct ImageReference: Hashable, Sendable, CustomStringConvertible {
    /// Host and port as written, `docker.io` where none was.
    public let registry: String
    /// Without host, tag and digest, such as `library/busybox`.
    public let repository: String
    /// `latest` where neither tag nor digest was written; nil with a digest alone.
    public let tag: String?
    /// What pins the image, where it was written.
    public let digest: Digest?

    public init(registry: String, repository: String, tag: String?, digest: Digest? = nil) {
        self.registry = registry
        self.repository = repository
        self.tag = tag
        self.digest = digest
    }

    /// Why a text is no reference.
    public struct Invalid: Error, Sendable, Equatable, CustomStringConvertible {
        /// As it was given.
        public let text: String
        /// What is wrong with it.
        public let reason: String
        public var description: String { "invalid image reference \"\(text)\": \(reason)" }
    }

    /// Reads what a person types. Throws ``Invalid`` for a text that the grammar does not have.
    public init(parsing text: String) throws(Invalid) {
        func invalid(_ reason: String) -> Invalid { Invalid(text: text, reason: reason) }
        if text.isEmpty { throw invalid("it is empty") }
        if text.utf8.count > 512 { throw invalid("it is longer than 512 characters") }
        var rest = Substring(text)
        if let at = rest.firstIndex(of: "@") {
            let suffix = String(rest[rest.index(after: at)...])
            guard let digest = Digest(suffix) else { throw invalid("\"\(suffix)\" is no sha256 or sha512 digest") }
            self.digest = digest
            rest = rest[..<at]
        } else {
            digest = nil
        }
        let lastSlash = rest.lastIndex(of: "/")
        let nameStart = lastSlash.map { rest.index(after: $0) } ?? rest.startIndex
        var tag: String?
        if let colon = rest[nameStart...].lastIndex(of: ":") {
            let word = String(rest[rest.index(after: colon)...])
            guard Self.isTag(word) else {
                throw invalid("\"\(word)\" is no tag (letters, digits, '_', '.', '-', at most 128)")
            }
            tag = word
            rest = rest[..<colon]
        }
        let parts = rest.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        var path = parts
        if parts.count > 1, let first = parts.first,
            first.contains(".") || first.contains(":") || first == "localhost" || first.hasPrefix("[")
        {
            guard Self.isHost(first) else { throw invalid("\"\(first)\" is no registry host") }
            registry = first == "index.docker.io" ? "docker.io" : first
            path.removeFirst()
            if registry == "docker.io", path.count == 1 { path.insert("library", at: 0) }
        } else {
            registry = "docker.io"
            if parts.count == 1 { path = ["library"] + parts }
        }
        for component in path where !Self.isPathComponent(component) {
            let hint = component.contains(where: \.isUppercase) ? "; repository names are lower case" : ""
            throw invalid("\"\(component)\" is no repository name\(hint)")
        }
        repository = path.joined(separator: "/")
        if repository.utf8.count > 255 { throw invalid("the repository name is longer than 255 characters") }
        self.tag = tag ?? (digest == nil ? "latest" : nil)
    }

    /// The full form, `docker.io/library/busybox:latest`.
    public var description: String {
        "\(registry)/\(repository)" + (tag.map { ":\($0)" } ?? "") + (digest.map { "@\($0)" } ?? "")
    }

    /// What people write: without `docker.io/` and `library/`, where it means the same.
    public var familiar: String {
        guard registry == "docker.io" else { return description }
        let parts = repository.split(separator: "/")
        let isOfficial = parts.count == 2 && parts[0] == "library"
        // Without its registry a first part like these would be taken for one.
        if !isOfficial, parts[0].contains(".") || parts[0] == "localhost" { return description }
        return String(description.dropFirst(isOfficial ? "docker.io/library/".count : "docker.io/".count))
    }

    private static func isTag(_ text: String) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= 128 else { return false }
        func isWord(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
        }
        return isWord(first) && text.utf8.allSatisfy { isWord($0) || $0 == 0x2E || $0 == 0x2D }
    }

    private static func isPathComponent(_ text: String) -> Bool {
        // Runs of lower-case letters and digits, joined by '.', '_', '__' or any number of '-'.
        func isAlphanumeric(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) }
        let bytes = Array(text.utf8)
        guard let first = bytes.first, let last = bytes.last, isAlphanumeric(first), isAlphanumeric(last) else {
            return false
        }
        let separators = bytes.split(whereSeparator: isAlphanumeric)
        return separators.allSatisfy { run in
            Array(run) == [0x2E] || Array(run) == [0x5F] || Array(run) == [0x5F, 0x5F]
                || run.allSatisfy { $0 == 0x2D }
        }
    }

    private static func isHost(_ text: String) -> Bool {
        var host = Substring(text)
        if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
            let port = text[text.index(after: colon)...]
            guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(port),
                (1...65535).contains(number)
            else { return false }
            host = text[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") {
            let address = host.dropFirst().dropLast()
            return !address.isEmpty
                && address.allSatisfy { $0.isASCII && ($0.isHexDigit || $0 == ":" || $0 == ".") }
        }
        let labels = host.split(separator: ".", omittingEmptySubsequences: false)
        return labels.allSatisfy { label in
            !label.isEmpty && label.first != "-" && label.last != "-"
                && label.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }
        }
    }
}
