// What models of the specifications say over and over, said once.

extension JSONCursor {
    /// An optional member through a model's reader.
    public func optional<Model>(
        _ name: String, _ read: (JSONCursor) throws(JSONError) -> Model
    ) throws(JSONError) -> Model? {
        guard let member = try optional(name) else { return nil }
        return try read(member)
    }

    /// An optional array member through a model's reader; empty where there is none.
    public func list<Model>(
        _ name: String, _ read: (JSONCursor) throws(JSONError) -> Model
    ) throws(JSONError) -> [Model] {
        guard let member = try optional(name) else { return [] }
        return try member.array(of: read)
    }

    /// An optional string member that callers also write empty for what they do not set.
    public func optionalText(_ name: String) throws(JSONError) -> String? {
        guard let text = try optional(name)?.string(), !text.isEmpty else { return nil }
        return text
    }

    /// An optional integer member that fits the type asked for.
    public func optionalInteger<Number: FixedWidthInteger>(_ name: String) throws(JSONError) -> Number? {
        guard let member = try optional(name) else { return nil }
        return try member.integer()
    }
}

extension JSONObject {
    /// Sets a member unless there is nothing to say.
    public mutating func set(_ name: String, _ value: String?) {
        if let value { self[name] = .string(value) }
    }
    /// Sets a member unless there is nothing to say.
    public mutating func set(_ name: String, _ value: Bool?) {
        if let value { self[name] = .bool(value) }
    }
    /// Sets a member unless there is nothing to say.
    public mutating func set(_ name: String, _ value: Double?) {
        if let value { self[name] = .number(value) }
    }
    /// Sets a member unless there is nothing to say.
    public mutating func set(_ name: String, _ value: (some FixedWidthInteger)?) {
        if let value { self[name] = Int64(exactly: value).map(JSON.integer) ?? .unsigned(UInt64(value)) }
    }
    /// Sets a member unless the list is empty.
    public mutating func set(_ name: String, _ values: [JSON]) {
        if !values.isEmpty { self[name] = .array(values) }
    }
    /// Sets a member unless the list is empty.
    public mutating func set(_ name: String, _ values: [String]) {
        if !values.isEmpty { self[name] = .array(values.map(JSON.string)) }
    }
    /// Sets a member unless the map is empty.
    public mutating func set(_ name: String, _ map: [String: String]) {
        if !map.isEmpty { self[name] = JSON(map) }
    }
}
