/// Annotations `org.systemd.property.NAME`, by which callers set further properties of a container's unit.
///
/// An annotation may come from whoever may start a container, while properties can start other units as root. So only
/// those are taken that do no more than to order and to end the container's own unit; any other is refused.
enum SystemdAnnotations {
    static let prefix = "org.systemd.property."

    /// The names that are taken, each with the signatures it may have.
    static let allowed: [String: Set<String>] = [
        "After": ["as"], "Before": ["as"], "CollectMode": ["s"], "DefaultDependencies": ["b"], "Description": ["s"],
        "KillMode": ["s"], "OOMPolicy": ["s"], "RuntimeMaxUSec": ["t"], "SendSIGHUP": ["b"], "SendSIGKILL": ["b"],
        "TimeoutStopUSec": ["t"],
    ]

    static func properties(_ annotations: [String: String]) throws(CgroupError) -> [SystemdProperties.Property] {
        var properties: [SystemdProperties.Property] = []
        for (key, text) in annotations.sorted(by: { $0.key < $1.key }) where key.hasPrefix(prefix) {
            let name = String(key.dropFirst(prefix.utf8.count))
            guard let types = allowed[name] else {
                throw CgroupError(
                    .value(field: "annotations"),
                    "annotations[\"\(key)\"]: this property of a unit may not be set by an annotation",
                    remedy: "leave it out; allowed are \(allowed.keys.sorted().joined(separator: ", "))")
            }
            var parser = GVariantText(text)
            guard let value = parser.value(), types.contains(value.signature) else {
                throw CgroupError(
                    .value(field: "annotations"),
                    "annotations[\"\(key)\"]: \"\(text)\" is no value of type \(types.sorted().joined(separator: " or ")) "
                        + "in GVariant's text form",
                    remedy: "write it such as true, uint64 5000000, 'text' or ['a.service']")
            }
            properties.append((name, value))
        }
        return properties
    }
}

/// Reads the text form of GVariant as far as the properties above have it: truth values, numbers with their type, texts,
/// and arrays of texts.
struct GVariantText {
    private var rest: Substring.UTF8View

    init(_ text: String) { rest = Substring(text).utf8 }

    /// The one value that the whole text is; nil for anything else.
    mutating func value() -> DBusValue? {
        skip()
        let value: DBusValue?
        if rest.first == UInt8(ascii: "[") {
            value = list().map { .strings($0) }
        } else if rest.first == UInt8(ascii: "'") || rest.first == UInt8(ascii: "\"") {
            value = quoted().map { .string($0) }
        } else {
            let first = word()
            skip()
            switch first {
            case "true": value = .bool(true)
            case "false": value = .bool(false)
            case "uint64": value = UInt64(word()).map { .uint64($0) }
            case "uint32": value = UInt32(word()).map { .uint32($0) }
            case "int64": value = Int64(word()).map { .int64($0) }
            case "int32": value = Int32(word()).map { .int32($0) }
            default: value = Int32(first).map { .int32($0) }
            }
        }
        skip()
        return rest.isEmpty ? value : nil
    }

    private mutating func skip() {
        while let byte = rest.first, byte == 0x20 || byte == 0x09 { rest = rest.dropFirst() }
    }

    private mutating func word() -> String {
        let word = rest.prefix {
            (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "-")
        }
        rest = rest.dropFirst(word.count)
        return String(Substring(word))
    }

    private mutating func quoted() -> String? {
        guard let quote = rest.popFirst(), quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else { return nil }
        var bytes: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == quote { return String(validating: bytes, as: UTF8.self) }
            guard byte >= 0x20, byte != 0x7F else { return nil }
            if byte == UInt8(ascii: "\\") {
                guard let escaped = rest.popFirst(), "'\"\\".utf8.contains(escaped) else { return nil }
                bytes.append(escaped)
            } else {
                bytes.append(byte)
            }
        }
        return nil
    }

    private mutating func list() -> [String]? {
        rest = rest.dropFirst()
        var texts: [String] = []
        while true {
            skip()
            guard let text = quoted() else { return nil }
            texts.append(text)
            skip()
            switch rest.popFirst() {
            case UInt8(ascii: ","): continue
            case UInt8(ascii: "]"): return texts
            default: return nil
            }
        }
    }
}
