/// Versions of the specification, as `ociVersion` names them (semver.org).
enum SpecVersion {
    /// Its first number; nil for what is no version.
    static func major(of text: String) -> Int? {
        let parts = text.split(separator: "+", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2, !areNames(parts[1]) { return nil }
        let release = parts[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        if release.count == 2, !areNames(release[1]) { return nil }
        let numbers = release[0].split(separator: ".", omittingEmptySubsequences: false)
        guard numbers.count == 3, numbers.allSatisfy(isNumber) else { return nil }
        return Int(numbers[0])
    }

    private static func isNumber(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) } && (text == "0" || !text.hasPrefix("0"))
    }

    /// What follows a sign: words of letters, digits and hyphens, with dots between.
    private static func areNames(_ text: Substring) -> Bool {
        text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { word in
            !word.isEmpty
                && word.utf8.allSatisfy { byte in
                    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte & 0xDF) || byte == UInt8(ascii: "-")
                }
        }
    }
}
