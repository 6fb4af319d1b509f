internal import OCISpec

/// What a network has given a container (CNI spec 1.1, section 5, "Success").
struct CNIResult: Sendable, Equatable {
    /// How names are looked up.
    struct NameService: Sendable, Equatable {
        var servers: [String] = []
        var domain: String?
        var search: [String] = []
        var options: [String] = []
    }

    struct Address: Sendable, Equatable {
        /// With the length of its prefix, such as `10.88.0.5/16`.
        let address: String
        let gateway: String?
    }

    struct Route: Sendable, Equatable {
        let destination: String
        let gateway: String?
    }

    /// Of the container's own interfaces.
    let addresses: [Address]
    let routes: [Route]
    let names: NameService
    /// As the plugin gave it, for the plugins that come after.
    let json: JSON

    init(_ cursor: JSONCursor) throws(JSONError) {
        // Only interfaces in the container have a sandbox.
        let inside = try cursor.list("interfaces") { interface throws(JSONError) in
            !(try interface.optional("sandbox")?.string() ?? "").isEmpty
        }
        addresses = try cursor.list("ips") { entry throws(JSONError) -> Address? in
            let address = Address(
                address: try entry.required("address").string(), gateway: try entry.optional("gateway")?.string())
            let index: Int? = try entry.optionalInteger("interface")
            guard let index else { return address }
            guard inside.indices.contains(index) else {
                throw try entry.required("interface").failure("\(index) is the index of no interface")
            }
            return inside[index] ? address : nil
        }.compactMap { $0 }
        routes = try cursor.list("routes") { route throws(JSONError) in
            Route(destination: try route.required("dst").string(), gateway: try route.optional("gw")?.string())
        }
        names = try cursor.optional("dns", NameService.init) ?? NameService()
        json = cursor.value
    }
}

extension CNIResult.NameService {
    init(_ cursor: JSONCursor) throws(JSONError) {
        servers = try cursor.optional("nameservers")?.strings() ?? []
        domain = try cursor.optional("domain")?.string()
        search = try cursor.optional("search")?.strings() ?? []
        options = try cursor.optional("options")?.strings() ?? []
    }
}
