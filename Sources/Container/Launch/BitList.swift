/// A list of processors or memory nodes as the kernel writes it, such as `0-3,8` (cpuset(7), list format).
struct BitList: Equatable {
    let numbers: [Int]

    /// Nil for anything but a well-formed list of numbers below 4,096.
    init?(_ text: String) {
        var numbers: Set<Int> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) where !text.isEmpty {
            let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            guard ends.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
                let first = ends.first.flatMap({ Int($0) }), let last = ends.last.flatMap({ Int($0) }), first <= last,
                last < 4096
            else { return nil }
            numbers.formUnion(first...last)
        }
        self.numbers = numbers.sorted()
    }

    /// The set as bits in 64-bit words, lowest first.
    func words(width: Int) -> [UInt64] {
        guard let last = numbers.last else { return [] }
        var words = [UInt64](repeating: 0, count: last / width + 1)
        for number in numbers { words[number / width] |= 1 << UInt64(number % width) }
        return words
    }
}
