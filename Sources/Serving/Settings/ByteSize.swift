/// Sizes as people write them. Units are powers of 1024, as with Docker: `1k`, `1kb` and `1KiB` are 1024.
public enum ByteSize {
    private static let units: [Character: Int] = ["b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50]

    /// `512m`, `4G`, `1.5GiB`, or plain bytes; not negative.
    public static func bytes(_ text: String) throws(SettingError) -> Int64 {
        func invalid(_ reason: String) -> SettingError {
            SettingError("size", text, reason, remedy: "write a number with b, k, m, g or t, such as 512m or 1.5GiB")
        }
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits), digits.last != ".", digits.first != "." else {
            throw invalid(text.hasPrefix("-") ? "it is negative" : "it does not begin with a number")
        }
        let unit = text.dropFirst(digits.count).lowercased()
        var shift = 0
        if let first = unit.first {
            guard let known = units[first], ["", "b", "ib"].contains(unit.dropFirst()), first != "b" || unit == "b"
            else {
                throw invalid("\"\(unit)\" is no unit")
            }
            shift = known
        }
        if shift == 0, digits.contains(".") { throw invalid("a number of bytes has no fraction") }
        let bytes = number * Double(1 << shift)
        guard bytes < 0x1p62 else { throw invalid("it is larger than any memory") }
        return Int64(bytes)
    }

    /// For people: `512 B`, `1.5 GiB`.
    public static func text(_ bytes: Int64) -> String {
        var value = Double(bytes)
        let names = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
        var index = 0
        while value.magnitude >= 1024, index < names.count - 1 {
            value /= 1024
            index += 1
        }
        if index == 0 { return "\(bytes) B" }
        let tenths = (value * 10).rounded() / 10
        return "\(tenths.shortText) \(names[index])"
    }
}
