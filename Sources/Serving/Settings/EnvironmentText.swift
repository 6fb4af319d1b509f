/// Environment variables as people write them.
public enum EnvironmentText {
    /// `NAME=value`, or `NAME` to take the value from the caller's environment: nil where it is not set there.
    public static func variable(
        _ text: String, environment: (String) -> String?
    ) throws(SettingError) -> String? {
        func invalid(_ reason: String) -> SettingError {
            SettingError("environment variable", text, reason, remedy: "write NAME=value, or NAME alone to pass it on")
        }
        if text.utf8.contains(0) { throw invalid("it contains a zero byte") }
        let name = String(text.prefix { $0 != "=" })
        if name.isEmpty { throw invalid(text.isEmpty ? "it is empty" : "the name is missing") }
        if name.contains(where: \.isWhitespace) { throw invalid("the name contains a blank") }
        if text.contains("=") { return text }
        return environment(name).map { "\(name)=\($0)" }
    }

    /// The lines of an `--env-file`, in Docker's format: one variable a line, `#` begins a comment line, blanks before
    /// the name are dropped, values are taken as they are, without quotes or expansion.
    ///
    /// - Parameter path: said in errors.
    public static func file(
        _ text: String, path: String, environment: (String) -> String?
    ) throws(SettingError) -> [String] {
        var result: [String] = []
        var content = text
        if content.hasPrefix("\u{FEFF}") { content.removeFirst() }
        for (index, raw) in content.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let line = raw.drop { $0 == " " || $0 == "\t" }
            if line.isEmpty || line.hasPrefix("#") { continue }
            do throws(SettingError) {
                if let variable = try variable(String(line), environment: environment) { result.append(variable) }
            } catch {
                throw SettingError(
                    "line \(index + 1) of \(path)", String(line), error.reason, remedy: error.remedy)
            }
        }
        return result
    }

    /// `name=value`, or `name` for an empty value.
    public static func label(_ text: String) throws(SettingError) -> (name: String, value: String) {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let name = parts.first, !name.isEmpty, !name.contains(where: \.isWhitespace) else {
            throw SettingError(
                "label", text, "the name is missing or contains a blank",
                remedy: "write name=value, such as team=vision")
        }
        return (name, parts.count == 2 ? parts[1] : "")
    }
}
