internal import LinuxSystem
internal import OCISpec

/// A container's membership in a network: everything that taking it out again needs, whoever does that.
///
/// The specification wants DEL to get what ADD got, so the configuration is kept here and not read again.
struct CNIAttachment: Sendable, Equatable {
    /// The container's interface.
    static let interface = "eth0"

    let network: CNINetwork
    /// Never used twice: plugins file what they give under it, for all runtimes of the host.
    let containerID: String
    /// A file that is the container's network namespace.
    let namespace: String
    /// `KEY=value` pairs with semicolons between them.
    let arguments: String
    /// What plugins with the capability are told.
    let runtime: JSONObject
    /// What the last plugin answered; nil until all have.
    private(set) var result: CNIResult?

    init(
        network: CNINetwork, containerID: String, namespace: String, arguments: String, runtime: JSONObject
    ) {
        self.network = network
        self.containerID = containerID
        self.namespace = namespace
        self.arguments = arguments
        self.runtime = runtime
    }

    /// Attaches the container: each plugin in order, with the result of the one before it. A failure leaves the work of
    /// those before it to ``delete(in:namespaceExists:)``.
    mutating func add(in places: CNIPlaces) throws(CNIError) -> CNIResult {
        var latest: CNIResult?
        for plugin in network.plugins {
            let answer = try run(plugin, .add, in: places, namespace: namespace, previous: latest?.json)
            do throws(JSONError) { latest = try CNIResult(JSONCursor(try JSON(parsing: answer))) } catch {
                throw CNIError(
                    "the CNI plugin \(plugin.type) of the network \(network.name) (ADD) gave no result: \(error)")
            }
        }
        guard let latest else { throw CNIError("the CNI network \(network.name) has no plugins") }
        result = latest
        return latest
    }

    /// Takes the container out of the network: each plugin in reverse order. May be done again and again.
    ///
    /// - Parameter namespaceExists: plugins are told where the namespace is only while it is there.
    func delete(in places: CNIPlaces, namespaceExists: Bool) throws(CNIError) {
        for plugin in network.plugins.reversed() {
            _ = try run(
                plugin, .delete, in: places, namespace: namespaceExists ? namespace : nil,
                previous: network.tellsResultOnDelete ? result?.json : nil)
        }
    }

    private func run(
        _ plugin: CNINetwork.Plugin, _ command: CNIPlugin.Command, in places: CNIPlaces, namespace: String?,
        previous: JSON?
    ) throws(CNIError) -> [UInt8] {
        guard let path = places.executable(plugin.type) else { throw places.missing(plugin.type, network) }
        var environment = [
            "CNI_CONTAINERID=\(containerID)", "CNI_IFNAME=\(Self.interface)", "CNI_ARGS=\(arguments)",
            "CNI_PATH=\(places.plugins.joined(separator: ":"))",
        ]
        if let namespace { environment.append("CNI_NETNS=\(namespace)") }
        let configuration = network.configuration(of: plugin, runtime: runtime, previous: previous)
        return try CNIPlugin(type: plugin.type, path: path, network: network.name).run(
            command, environment: environment, configuration: configuration)
    }

    // MARK: On disk

    init(_ cursor: JSONCursor) throws(JSONError) {
        network = try CNINetwork(try cursor.required("network"))
        containerID = try cursor.required("containerID").string()
        namespace = try cursor.required("namespace").string()
        arguments = try cursor.required("arguments").string()
        let runtime = try cursor.required("runtimeConfig")
        guard let members = runtime.value.object else { throw runtime.failure("an object is expected") }
        self.runtime = members
        result = try cursor.optional("result", CNIResult.init)
    }

    var json: JSON {
        var object = JSONObject([
            ("network", network.json), ("containerID", .string(containerID)), ("namespace", .string(namespace)),
            ("arguments", .string(arguments)), ("runtimeConfig", .object(runtime)),
        ])
        object["result"] = result?.json
        return .object(object)
    }
}
