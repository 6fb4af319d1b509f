/// A line of passwd(5). The numbers stay text until they are used: a broken line that nobody asks for harms nobody.
struct PasswdEntry: Equatable {
    let name: String
    let uid: String
    let gid: String
    let home: String

    static func first(in text: String, where matches: (PasswdEntry) -> Bool) -> PasswdEntry? {
        for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
            let fields = AccountFields(line)
            guard fields.count >= 6 else { continue }
            let entry = PasswdEntry(name: fields[0], uid: fields[2], gid: fields[3], home: fields[5])
            if matches(entry) { return entry }
        }
        return nil
    }
}

/// A line of group(5).
struct GroupEntry: Equatable {
    let name: String
    let gid: String
    let members: [String]

    static func all(in text: String) -> [GroupEntry] {
        text.utf8.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let fields = AccountFields(line)
            guard fields.count >= 3 else { return nil }
            let members = fields.count > 3 ? fields[3].split(separator: ",").map(String.init) : []
            return GroupEntry(name: fields[0], gid: fields[2], members: members)
        }
    }
}

/// The fields of one line, between colons; a line that is empty or a comment has none.
private struct AccountFields {
    private let fields: [Substring.UTF8View.SubSequence]

    init(_ line: Substring.UTF8View) {
        let content = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        fields =
            content.first == UInt8(ascii: "#")
            ? [] : content.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    }

    var count: Int { fields.count }
    subscript(index: Int) -> String { String(Substring(fields[index])) }
}

extension UInt32 {
    /// Decimal digits only, at most 4294967294: the number above it is "no change" to chown(2) and setresuid(2).
    init?(strictly text: String) {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt32(text),
            number != .max
        else { return nil }
        self = number
    }
}
