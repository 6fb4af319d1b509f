/// What a partial answer holds: `bytes 5-9/10`, or `bytes 5-9/*` where the total is not told.
struct ContentRange: Sendable, Equatable {
    let first: Int64
    let last: Int64
    let total: Int64?

    /// Nil for anything that contradicts itself.
    init?(_ text: String) {
        let parts = text.split(separator: " ", omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].lowercased() == "bytes" else { return nil }
        let numbers = parts[1].split(separator: "/", omittingEmptySubsequences: false)
        guard numbers.count == 2, let dash = numbers[0].firstIndex(of: "-"),
            let first = Self.number(numbers[0][..<dash]),
            let last = Self.number(numbers[0][numbers[0].index(after: dash)...]), first <= last, last < Int64.max
        else { return nil }
        self.first = first
        self.last = last
        if numbers[1] == "*" {
            total = nil
        } else {
            guard let number = Self.number(numbers[1]), last < number else { return nil }
            total = number
        }
    }

    /// Whether this is exactly `range` of something with `size` bytes.
    func covers(_ range: Range<Int64>, of size: Int64) -> Bool {
        first == range.lowerBound && last + 1 == range.upperBound && (total ?? size) == size
    }

    private static func number(_ digits: Substring) -> Int64? {
        digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int64(digits) : nil
    }
}
