internal import OCISpec

/// A CNI network configuration: the plugins that make up a network, in the order in which they attach a container (CNI
/// spec 1.1, section 1).
struct CNINetwork: Sendable, Equatable {
    /// One program of the network.
    struct Plugin: Sendable, Equatable {
        /// The name of its executable.
        let type: String
        /// As it was written.
        let configuration: JSONObject
        /// What it wants to be told by the runtime.
        let capabilities: Set<String>
        /// The plugin that it asks for addresses.
        let addressManager: String?
    }

    /// Those whose results have `ips` and `interfaces`; results of 0.2.0 and older have another form.
    static let supportedVersions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]

    let name: String
    let version: String
    private(set) var plugins: [Plugin]
    /// Other files may add plugins to the network (spec 1.1).
    private(set) var takesOtherPlugins: Bool

    /// Reads a network configuration list, or the configuration of a single plugin.
    init(_ cursor: JSONCursor) throws(JSONError) {
        name = try cursor.required("name").string()
        guard CNIText.isName(name) else {
            throw JSONError(path: "name", message: "\"\(name)\" is no network name: use letters, digits, -, _ and .")
        }
        version = try Self.version(cursor)
        if let list = try cursor.optional("plugins") {
            plugins = try list.array { plugin throws(JSONError) in try Plugin(plugin) }
            guard !plugins.isEmpty else { throw list.failure("names no plugin") }
            takesOtherPlugins = try !(cursor.optional("loadOnlyInlinedPlugins")?.bool() ?? false)
        } else {
            plugins = [try Plugin(cursor)]
            takesOtherPlugins = false
        }
    }

    /// With the plugins of other files it is complete.
    mutating func complete(with others: [Plugin]) {
        plugins += others
        takesOtherPlugins = false
    }

    /// The highest version that both the configuration and this runtime know.
    private static func version(_ cursor: JSONCursor) throws(JSONError) -> String {
        var offered = try cursor.optional("cniVersions")?.strings() ?? []
        if let single = try cursor.optional("cniVersion")?.string() { offered.append(single) }
        if let best = supportedVersions.last(where: offered.contains) { return best }
        throw JSONError(
            path: "cniVersion",
            message: (offered.isEmpty ? "is missing" : "\(offered.joined(separator: ", ")) is not supported")
                + "; one of \(supportedVersions.joined(separator: ", ")) is")
    }

    /// Every executable that takes part, each once.
    var executables: [String] {
        var result: [String] = []
        for type in plugins.flatMap({ [$0.type] + ($0.addressManager.map { [$0] } ?? []) }) where !result.contains(type)
        {
            result.append(type)
        }
        return result
    }

    /// What a plugin reads on standard input (spec 1.1, section 4, "Deriving execution configuration").
    ///
    /// - Parameters:
    ///   - runtime: what this runtime can tell; the plugin gets what it declares as its capabilities.
    ///   - previous: the result of the plugin before it, or of the whole network when it is taken down.
    func configuration(of plugin: Plugin, runtime: JSONObject, previous: JSON?) -> JSON {
        var object = plugin.configuration
        object["capabilities"] = nil
        object["cniVersion"] = .string(version)
        object["name"] = .string(name)
        let told = runtime.members.filter { plugin.capabilities.contains($0.name) }
        if !told.isEmpty { object["runtimeConfig"] = .object(JSONObject(told)) }
        object["prevResult"] = previous
        return .object(object)
    }

    /// A list from which this value can be read again.
    var json: JSON {
        [
            "cniVersion": .string(version), "name": .string(name), "loadOnlyInlinedPlugins": true,
            "plugins": .array(plugins.map { .object($0.configuration) }),
        ]
    }

    /// Whether DEL is told the result of ADD.
    var tellsResultOnDelete: Bool { version != "0.3.0" && version != "0.3.1" }
}

extension CNINetwork.Plugin {
    init(_ cursor: JSONCursor) throws(JSONError) {
        type = try Self.executable(try cursor.required("type"))
        guard let object = cursor.value.object else { throw cursor.failure("an object is expected") }
        configuration = object
        capabilities = Set(
            try cursor.optional("capabilities")?.members().filter { member in member.cursor.value.bool == true }
                .map(\.name) ?? [])
        addressManager = try cursor.optional("ipam")?.optional("type").flatMap { type throws(JSONError) in
            try type.string().isEmpty ? nil : try Self.executable(type)
        }
    }

    /// It becomes part of a path.
    private static func executable(_ cursor: JSONCursor) throws(JSONError) -> String {
        let text = try cursor.string()
        guard CNIText.isName(text) else { throw cursor.failure("\"\(text)\" is no name of a plugin") }
        return text
    }
}

/// The characters that CNI allows in names and identifiers.
enum CNIText {
    static func isName(_ text: String) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        }
        guard let first = text.utf8.first, isAlphanumeric(first) else { return false }
        return text.utf8.allSatisfy { isAlphanumeric($0) || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F }
    }
}
