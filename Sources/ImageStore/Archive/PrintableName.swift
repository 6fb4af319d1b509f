/// Names from untrusted archives, made fit for a terminal and a log line.
enum PrintableName {
    /// Control characters, quotes and backslashes escaped, invalid UTF-8 repaired, cut after 200 characters.
    static func make(_ bytes: some Collection<UInt8>) -> String {
        var text = ""
        for (index, scalar) in String(decoding: bytes.prefix(1024), as: UTF8.self).unicodeScalars.enumerated() {
            if index == 200 { return text + "…" }
            text += scalar.escaped(asASCII: false)
        }
        return text
    }
}
