/// Times as image configurations write them.
enum Timestamp {
    /// Seconds since 1970 of an RFC 3339 time; fractions are dropped, nil for anything malformed.
    static func seconds(rfc3339 text: String) -> Int64? {
        let bytes = Array(text.utf8)
        func number(_ range: Range<Int>) -> Int64? {
            guard range.upperBound <= bytes.count else { return nil }
            var value: Int64 = 0
            for byte in bytes[range] {
                guard (0x30...0x39).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - 0x30)
            }
            return value
        }
        func has(_ character: Unicode.Scalar, at index: Int) -> Bool {
            index < bytes.count && bytes[index] == UInt8(ascii: character)
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
            let minute = number(14..<16), let second = number(17..<19), has("-", at: 4), has("-", at: 7),
            has("T", at: 10) || has("t", at: 10), has(":", at: 13), has(":", at: 16), (1...12).contains(month),
            (1...31).contains(day),
            hour < 24, minute < 60, second < 61
        else { return nil }
        var zone = 19
        if zone < bytes.count, bytes[zone] == UInt8(ascii: ".") {
            zone += 1
            while zone < bytes.count, (0x30...0x39).contains(bytes[zone]) { zone += 1 }
        }
        var offset: Int64 = 0
        if has("Z", at: zone) || has("z", at: zone), zone + 1 == bytes.count {
            offset = 0
        } else if zone + 6 == bytes.count, let hours = number(zone + 1..<zone + 3), has(":", at: zone + 3),
            let minutes = number(zone + 4..<zone + 6),
            bytes[zone] == UInt8(ascii: "+") || bytes[zone] == UInt8(ascii: "-")
        {
            offset = (hours * 3600 + minutes * 60) * (bytes[zone] == UInt8(ascii: "-") ? -1 : 1)
        } else {
            return nil
        }
        return days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset
    }

    /// Days from 1970-01-01 in the proleptic Gregorian calendar: years are counted from March so that the leap day is
    /// last.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719468
    }
}
