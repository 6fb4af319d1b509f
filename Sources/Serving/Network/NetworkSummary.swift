public import OCISpec

/// What `inspect` shows of a container's network.
public struct NetworkSummary: Sendable, Equatable {
    /// The network's name in its CNI configuration.
    public var name: String
    /// With the lengths of their prefixes.
    public var addresses: [String]
    /// `0.0.0.0/0 via 10.88.0.1`.
    public var routes: [String]
    /// Of the network's own; empty where the host's are used.
    public var nameServers: [String]

    init(_ name: String, _ result: CNIResult) {
        self.name = name
        addresses = result.addresses.map(\.address)
        // A route without a gateway goes over that of the address.
        let gateway = result.addresses.lazy.compactMap(\.gateway).first
        routes = result.routes.map { route in
            (route.gateway ?? gateway).map { "\(route.destination) via \($0)" } ?? route.destination
        }
        nameServers = result.names.servers
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        name = try cursor.required("name").string()
        addresses = try cursor.optional("addresses")?.strings() ?? []
        routes = try cursor.optional("routes")?.strings() ?? []
        nameServers = try cursor.optional("nameServers")?.strings() ?? []
    }

    public var json: JSON {
        var object = JSONObject([("name", .string(name))])
        object.set("addresses", addresses)
        object.set("routes", routes)
        object.set("nameServers", nameServers)
        return .object(object)
    }
}
