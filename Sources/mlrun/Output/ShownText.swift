/// Text of images, containers and registries as it may be shown to a person: what would command the terminal, or turn the
/// direction of what follows, is written as its number instead.
enum ShownText {
    /// One line: line feeds and tabs are written as numbers too.
    static func line(_ text: String) -> String { shown(text) { _ in false } }

    /// Several lines.
    static func lines(_ text: String) -> String { shown(text) { $0 == "\n" || $0 == "\t" } }

    private static func shown(_ text: String, allowed: (Unicode.Scalar) -> Bool) -> String {
        if !text.unicodeScalars.contains(where: { isCommand($0) && !allowed($0) }) { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if isCommand(scalar), !allowed(scalar) {
                let digits = String(scalar.value, radix: 16)
                result += scalar.value < 0x100 ? "\\x\(digits.count == 1 ? "0" : "")\(digits)" : "\\u{\(digits)}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isCommand(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0: true
        // Line and paragraph separators, and the marks that override the direction of text (CVE-2021-42574).
        case 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
