/// The names of services: letters, digits, `_`, `.` and `-`, beginning with a letter or digit, at most 63 characters.
public enum ServiceName {
    /// Throws ``SettingError`` unless the text can be a service's name.
    public static func check(_ text: String) throws(SettingError) {
        func invalid(_ reason: String) -> SettingError {
            SettingError(
                "service name", text, reason,
                remedy: "use letters, digits, '-', '_' and '.', beginning with a letter or digit, such as sentiment-v3")
        }
        guard let first = text.utf8.first else { throw invalid("it is empty") }
        if text.utf8.count > 63 { throw invalid("it is longer than 63 characters") }
        if !isAlphanumeric(first) { throw invalid("it does not begin with a letter or digit") }
        guard text.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F }) else {
            throw invalid("it has characters that a name may not have")
        }
    }

    /// A name for a service that was given none: the last part of the image's repository, and where that is taken a
    /// number after it, `sentiment`, `sentiment-2`, `sentiment-3`.
    public static func generate(from reference: String, taken: (String) -> Bool) -> String {
        let withoutDigest = reference.split(separator: "@", omittingEmptySubsequences: false)[0]
        let last = withoutDigest.split(separator: "/").last ?? ""
        let repository = last.split(separator: ":", omittingEmptySubsequences: false).first ?? ""
        let kept = repository.utf8.filter { isAlphanumeric($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F }
        let trimmed = kept.drop { !isAlphanumeric($0) }.prefix(55)
        let base = trimmed.isEmpty ? "service" : String(decoding: trimmed, as: UTF8.self)
        if !taken(base) { return base }
        var number = 2
        while taken("\(base)-\(number)") { number += 1 }
        return "\(base)-\(number)"
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }
}
