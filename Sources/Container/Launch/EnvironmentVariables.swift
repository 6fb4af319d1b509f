/// The environment of a program, an entry NAME=VALUE for each variable. Callers who want another value append one.
enum EnvironmentVariables {
    /// One entry a name, the last one in the place of the first: getenv(3) would take the first, and whoever appended another
    /// meant that. What has no name is left as it is.
    static func lastOfEach(_ entries: [String]) -> [String] {
        // By bytes: two strings may be equal to Swift and name two variables.
        var places: [[UInt8]: Int] = [:]
        var kept: [String] = []
        for entry in entries {
            let name = Array(entry.utf8.prefix { $0 != UInt8(ascii: "=") })
            guard !name.isEmpty, name.count < entry.utf8.count else {
                kept.append(entry)
                continue
            }
            if let place = places[name] {
                kept[place] = entry
            } else {
                places[name] = kept.count
                kept.append(entry)
            }
        }
        return kept
    }
}
