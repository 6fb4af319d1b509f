/// A time of day in UTC, in nanoseconds since 1970.
public struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Since 1970 in UTC; negative before.
    public let nanoseconds: Int64

    public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    public static func < (left: Timestamp, right: Timestamp) -> Bool { left.nanoseconds < right.nanoseconds }

    public static func - (time: Timestamp, duration: Duration) -> Timestamp {
        Timestamp(nanoseconds: time.nanoseconds &- duration.wholeNanoseconds)
    }

    public static func - (later: Timestamp, earlier: Timestamp) -> Duration {
        .nanoseconds(later.nanoseconds) - .nanoseconds(earlier.nanoseconds)
    }

    /// RFC 3339 in UTC with nine digits of a second: `2026-11-23T04:46:17.000000001Z`.
    public var description: String {
        let (seconds, fraction) = Self.floorDivide(nanoseconds, 1_000_000_000)
        let (days, time) = Self.floorDivide(seconds, 86400)
        let (year, month, day) = Self.civil(days)
        func padded(_ number: Int64, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T"
            + "\(padded(time / 3600, 2)):\(padded(time / 60 % 60, 2)):\(padded(time % 60, 2)).\(padded(fraction, 9))Z"
    }

    /// RFC 3339 with any number of digits of a second; nil for anything else.
    public init?(rfc3339 text: String) {
        var rest = Substring(text)
        guard let year = Self.number(&rest, 4), Self.skip(&rest, "-"), let month = Self.number(&rest, 2),
            Self.skip(&rest, "-"), let day = Self.number(&rest, 2), (1...12).contains(month),
            (1...Self.days(in: month, of: year)).contains(day)
        else { return nil }
        guard Self.skip(&rest, "T") || Self.skip(&rest, "t") || Self.skip(&rest, " ") else { return nil }
        guard let hour = Self.number(&rest, 2), Self.skip(&rest, ":"), let minute = Self.number(&rest, 2),
            Self.skip(&rest, ":"), let second = Self.number(&rest, 2), hour < 24, minute < 60, second < 61
        else { return nil }
        var fraction: Int64 = 0
        if Self.skip(&rest, ".") {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            guard !digits.isEmpty, let value = Int64(digits.prefix(9)) else { return nil }
            fraction = (0..<max(0, 9 - digits.count)).reduce(value) { value, _ in value * 10 }
            rest = rest.dropFirst(digits.count)
        }
        var offset: Int64 = 0
        if rest != "Z", rest != "z" {
            guard let sign = rest.first, sign == "+" || sign == "-" else { return nil }
            rest = rest.dropFirst()
            guard let hours = Self.number(&rest, 2), Self.skip(&rest, ":"), let minutes = Self.number(&rest, 2),
                rest.isEmpty, hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * 60 * (sign == "-" ? -1 : 1)
        }
        let seconds = Self.daysSince1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflowAtEnd) = whole.addingReportingOverflow(fraction)
        if overflow || overflowAtEnd { return nil }
        nanoseconds = sum
    }

    /// What `--since` and `--until` take: RFC 3339, a date alone (midnight UTC), seconds since 1970 with a fraction, or
    /// a duration before now such as `10m`.
    public init(parsing text: String, now: Timestamp) throws(SettingError) {
        func invalid(_ reason: String) -> SettingError {
            SettingError(
                "time", text, reason,
                remedy: "write a time such as 2026-11-23T04:46:17Z, seconds since 1970, or how long ago, such as 10m")
        }
        if let time = Timestamp(rfc3339: text) ?? Timestamp(rfc3339: text + "Z")
            ?? Timestamp(rfc3339: text + "T00:00:00Z")
        {
            self = time
        } else if text.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2E }), let seconds = Double(text) {
            guard seconds < 9e9 else { throw invalid("it is later than mlrun can count") }
            self.init(nanoseconds: Int64(seconds * 1e9))
        } else if text.contains("-") || text.contains(":") {
            throw invalid("it is no time")
        } else {
            do throws(SettingError) { self = now - (try Duration(parsing: text)) } catch { throw invalid(error.reason) }
        }
    }

    // MARK: The calendar

    private static func floorDivide(_ number: Int64, _ divisor: Int64) -> (Int64, Int64) {
        let (quotient, rest) = number.quotientAndRemainder(dividingBy: divisor)
        return rest < 0 ? (quotient - 1, rest + divisor) : (quotient, rest)
    }

    private static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: isLeap(year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Counts in years that begin in March, so that the leap day is the last of a year, and in cycles of 400 years.
    private static func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = floorDivide(shifted, 400)
        let monthFromMarch = (month + 9) % 12
        let dayOfYear = (153 * monthFromMarch + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(_ days: Int64) -> (Int64, Int64, Int64) {
        let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func number(_ rest: inout Substring, _ width: Int) -> Int64? {
        let digits = rest.prefix(width)
        guard digits.count == width, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        rest = rest.dropFirst(width)
        return Int64(digits)
    }

    private static func skip(_ rest: inout Substring, _ character: Character) -> Bool {
        guard rest.first == character else { return false }
        rest = rest.dropFirst()
        return true
    }
}
