/// A place in a JSON document that knows its path, so that whatever is wrong there can be said with it.
///
/// Models are read with `init(_ cursor: JSONCursor) throws(JSONError)` and written with `var json: JSON`.
public struct JSONCursor: Sendable {
    /// What stands here.
    public let value: JSON
    /// Where this is, such as `layers[2].digest`; empty for the document itself.
    public let path: String

    private let refusesNUL: Bool

    /// A place to read from; `path` is said in errors.
    public init(_ value: JSON, path: String = "") { self.init(value, path, refusesNUL: false) }

    private init(_ value: JSON, _ path: String, refusesNUL: Bool) {
        self.value = value
        self.path = path
        self.refusesNUL = refusesNUL
    }

    /// The same place, where no text may have a NUL in it, nor any place within: of what follows one the kernel would not know.
    public var refusingNUL: JSONCursor { JSONCursor(value, path, refusesNUL: true) }

    private func place(_ value: JSON, _ path: String) -> JSONCursor {
        JSONCursor(value, path, refusesNUL: refusesNUL)
    }

    private func hasNUL(_ text: String) -> Bool {
        // Without the buffer it would be looked through character by character.
        text.utf8.withContiguousStorageIfAvailable { $0.contains(0) } ?? text.utf8.contains(0)
    }

    /// An error about this place.
    public func failure(_ message: String) -> JSONError { JSONError(path: path, message: message) }

    private func mismatch(_ expected: String) -> JSONError {
        failure("\(expected) is expected, but it is \(value.typeName)")
    }

    /// A member that must be there.
    public func required(_ name: String) throws(JSONError) -> JSONCursor {
        guard let member = try optional(name) else {
            throw JSONError(path: inner(name), message: "is missing")
        }
        return member
    }

    /// A member that may be missing or null.
    public func optional(_ name: String) throws(JSONError) -> JSONCursor? {
        guard case .object(let object) = value else { throw mismatch("an object") }
        guard let member = object[name], !member.isNull else { return nil }
        return place(member, inner(name))
    }

    private func inner(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// This value, which must be a string.
    public func string() throws(JSONError) -> String {
        guard case .string(let text) = value else { throw mismatch("a string") }
        if refusesNUL, hasNUL(text) { throw failure("contains NUL") }
        return text
    }

    /// This value, which must be a boolean.
    public func bool() throws(JSONError) -> Bool {
        guard case .bool(let flag) = value else { throw mismatch("a boolean") }
        return flag
    }

    /// An integer that fits the type asked for; never truncated.
    public func integer<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) throws(JSONError) -> Number {
        let number: Number?
        switch value {
        case .integer(let integer): number = Number(exactly: integer)
        case .unsigned(let integer): number = Number(exactly: integer)
        case .number(let double): number = Number(exactly: double)
        default: throw mismatch("an integer")
        }
        guard let number else { throw failure("is out of range (\(Number.min) to \(Number.max))") }
        return number
    }

    /// This value, which must be a number; integers above 2^53 are rounded.
    public func double() throws(JSONError) -> Double {
        switch value {
        case .integer(let integer): return Double(integer)
        case .unsigned(let integer): return Double(integer)
        case .number(let double): return double
        default: throw mismatch("a number")
        }
    }

    /// The elements of this value, which must be an array.
    public func elements() throws(JSONError) -> [JSONCursor] {
        guard case .array(let elements) = value else { throw mismatch("an array") }
        return elements.enumerated().map { place($1, "\(path)[\($0)]") }
    }

    /// The members of this value, which must be an object, in the order they were written.
    public func members() throws(JSONError) -> [(name: String, cursor: JSONCursor)] {
        guard case .object(let object) = value else { throw mismatch("an object") }
        if refusesNUL, object.members.contains(where: { hasNUL($0.name) }) {
            throw failure("has a member whose name contains NUL")
        }
        return object.members.map { ($0.name, place($0.value, inner($0.name))) }
    }

    /// Every element through one reader.
    public func array<Element>(
        of read: (JSONCursor) throws(JSONError) -> Element
    ) throws(JSONError) -> [Element] {
        var result: [Element] = []
        for element in try elements() { result.append(try read(element)) }
        return result
    }

    /// The elements of this value, which must be an array of strings.
    public func strings() throws(JSONError) -> [String] {
        var result: [String] = []
        for element in try elements() { result.append(try element.string()) }
        return result
    }

    /// An object whose values are all strings, as annotations and labels are.
    public func stringMap() throws(JSONError) -> [String: String] {
        var result: [String: String] = [:]
        for member in try members() { result[member.name] = try member.cursor.string() }
        return result
    }
}
