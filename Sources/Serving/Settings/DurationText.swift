extension Duration {
    /// For people: `350ms`, `4.2s`, `1m30s`, `2h5m`.
    public var shortText: String {
        let milliseconds = wholeMilliseconds
        if milliseconds < 0 { return "-" + (Duration.zero - self).shortText }
        if milliseconds < 1000 { return "\(milliseconds)ms" }
        if milliseconds < 60_000 {
            let tenths = (milliseconds % 1000) / 100
            return tenths == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds / 1000).\(tenths)s"
        }
        let seconds = milliseconds / 1000
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60)
        if hours > 0 { return minutes == 0 ? "\(hours)h" : "\(hours)h\(minutes)m" }
        return rest == 0 ? "\(minutes)m" : "\(minutes)m\(rest)s"
    }

    /// `10` (seconds), `1.5s`, `1m30s`, `500ms`, `2h`, as Go writes durations; not negative.
    public init(parsing text: String) throws(SettingError) {
        func invalid(_ reason: String) -> SettingError {
            SettingError(
                "duration", text, reason,
                remedy: "write numbers with h, m, s or ms, such as 1m30s or 500ms; a bare number is seconds")
        }
        if text.isEmpty { throw invalid("it is empty") }
        var rest = Substring(text)
        var total = 0.0
        var lowest = Double.infinity
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            guard let number = Double(digits), !digits.hasPrefix("."), !digits.hasSuffix(".") else {
                throw invalid(digits.isEmpty ? "a number is expected before \"\(rest)\"" : "\"\(digits)\" is no number")
            }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isASCII && $0.isLetter }
            if unit.isEmpty, digits.count != text.count {
                throw invalid(rest.isEmpty ? "the unit after \"\(digits)\" is missing" : "\"\(rest)\" is no unit")
            }
            guard let seconds = Self.units[String(unit)] else { throw invalid("\"\(unit)\" is no unit of time") }
            guard seconds < lowest else { throw invalid("\"\(unit)\" stands after a smaller or equal unit") }
            lowest = seconds
            total += number * seconds
            rest = rest.dropFirst(unit.count)
        }
        guard total <= 100 * 365 * 86400 else { throw invalid("it is longer than a hundred years") }
        self = .nanoseconds(Int64((total * 1e9).rounded()))
    }

    private static let units: [String: Double] = [
        "": 1, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9,
    ]
}
