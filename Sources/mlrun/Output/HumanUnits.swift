internal import Glibc

/// Sizes and times as people read them.
enum HumanUnits {
    /// Decimal units, three significant digits: `512B`, `4.38MB`, `1.2GB`.
    static func bytes(_ count: Int64) -> String { scaled(Double(count), 1000, ["B", "kB", "MB", "GB", "TB", "PB"]) }

    /// Binary units, as memory limits are given: `512MiB`.
    static func binary(_ count: Int64) -> String {
        scaled(Double(count), 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
    }

    private static func scaled(_ value: Double, _ base: Double, _ units: [String]) -> String {
        var value = value
        var index = 0
        while value >= base, index < units.count - 1 {
            value /= base
            index += 1
        }
        if index == 0 { return "\(Int64(value))\(units[0])" }
        let digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
        var text = fixed(value, digits)
        while digits > 0, text.hasSuffix("0") { text.removeLast() }
        if text.hasSuffix(".") { text.removeLast() }
        return text + units[index]
    }

    /// A number with so many digits after the point.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        let scale = [1.0, 10, 100, 1000][digits]
        let whole = Int64((value * scale).rounded())
        if digits == 0 { return "\(whole)" }
        let sign = whole < 0 ? "-" : ""
        let magnitude = whole.magnitude
        let fraction = "\(magnitude % UInt64(scale))"
        return
            "\(sign)\(magnitude / UInt64(scale)).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
    }

    /// How long something took: `3 ms`, `1.24 s`, `2 min 5 s`.
    static func duration(_ seconds: Double) -> String {
        if seconds < 0.001 { return "\(fixed(seconds * 1000, 2)) ms" }
        if seconds < 0.1 { return "\(fixed(seconds * 1000, 1)) ms" }
        if seconds < 1 { return "\(fixed(seconds * 1000, 0)) ms" }
        if seconds < 60 { return "\(fixed(seconds, 2)) s" }
        return "\(Int(seconds) / 60) min \(Int(seconds) % 60) s"
    }

    /// Roughly how long ago or how long already: `5 seconds`, `3 hours`, `2 days`.
    static func roughly(_ seconds: Int64) -> String {
        let steps: [(Int64, String)] = [
            (365 * 86400, "year"), (30 * 86400, "month"), (7 * 86400, "week"), (86400, "day"), (3600, "hour"),
            (60, "minute"), (1, "second"),
        ]
        for (length, unit) in steps where seconds >= length * (unit == "second" ? 1 : unit == "minute" ? 1 : 2) {
            let count = seconds / length
            return "\(count) \(unit)\(count == 1 ? "" : "s")"
        }
        for (length, unit) in steps where seconds >= length {
            let count = seconds / length
            return "\(count) \(unit)\(count == 1 ? "" : "s")"
        }
        return "less than a second"
    }

    /// `3 hours ago` for seconds since 1970.
    static func ago(_ time: Int64) -> String { "\(roughly(max(0, Int64(Glibc.time(nil)) - time))) ago" }

    /// `00:42` or `1:02:03`, as a progress bar counts down.
    static func clock(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 360_000 else { return "--:--" }
        let whole = Int(seconds.rounded(.up))
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let minutes = "\(two(whole / 60 % 60)):\(two(whole % 60))"
        return whole < 3600 ? minutes : "\(whole / 3600):\(minutes)"
    }
}
