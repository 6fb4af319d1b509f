extension StringProtocol {
    /// Whether these bytes occur in it. The standard library's `contains(_:)` of two strings brings the engine of regular
    /// expressions along, a tenth of a small program.
    public func hasPart(_ part: String) -> Bool {
        let part = Array(part.utf8)
        var rest = utf8[...]
        while rest.count >= part.count {
            if rest.starts(with: part) { return true }
            rest = rest.dropFirst()
        }
        return false
    }
}
