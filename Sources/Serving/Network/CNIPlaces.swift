internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// Where the host keeps its CNI networks and plugins.
struct CNIPlaces: Sendable, Equatable {
    /// The directory of the configurations.
    let configurations: String
    /// The directories of the plugins, first match wins.
    let plugins: [String]

    init(configurations: String, plugins: [String]) {
        self.configurations = configurations
        self.plugins = plugins
    }

    /// `CNI_CONF_DIR` or `NETCONFPATH`, and `CNI_PATH` (directories separated by colons), of this process's environment;
    /// otherwise where distributions put them.
    static func fromEnvironment() -> CNIPlaces {
        func value(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        let path = value("CNI_PATH")?.split(separator: ":").map(String.init) ?? []
        return CNIPlaces(
            configurations: value("CNI_CONF_DIR") ?? value("NETCONFPATH") ?? "/etc/cni/net.d",
            plugins: path.isEmpty ? ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"] : path)
    }

    static let noneNeeded = "without --network bridge (ports are published all the same) none is needed"
    private static let install = "install Debian's package containernetworking-plugins"
    private static let example = """
        {"cniVersion":"1.0.0","name":"mlrun","plugins":[{"type":"bridge","bridge":"mlrun0","isGateway":true,\
        "ipMasq":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.90.0.0/16"}]],\
        "routes":[{"dst":"0.0.0.0/0"}]}}]}
        """

    /// The network of this name, or the first one there is in the lexical order of file names, with all its plugins
    /// installed. Changes nothing.
    func network(_ name: String?) throws(CNIError) -> CNINetwork {
        let network = try configuredNetwork(name)
        for type in network.executables where executable(type) == nil { throw missing(type, network) }
        return network
    }

    /// The plugin's program, nil where it is not installed.
    func executable(_ type: String) -> String? {
        plugins.lazy.map { "\($0)/\(type)" }.first { access($0, X_OK) == 0 }
    }

    func missing(_ type: String, _ network: CNINetwork) -> CNIError {
        CNIError(
            "the CNI network \(network.name) needs the plugin \(type), which is not in \(words(plugins))",
            remedy: "\(Self.install), or set CNI_PATH where mlrund is started; \(Self.noneNeeded)")
    }

    // MARK: Configurations

    private func configuredNetwork(_ name: String?) throws(CNIError) -> CNINetwork {
        let files = try configurationFiles(configurations, [".conflist", ".conf", ".json"])
        guard let first = files.first else { throw nothingConfigured }
        guard let name else {
            do throws(CNIError) { return try read(first) } catch {
                // Another network than the one that comes first would be a surprise.
                throw CNIError(error.message, remedy: error.remedy ?? "correct the file or take it away")
            }
        }
        var others: [String] = []
        for file in files {
            do throws(CNIError) {
                let network = try read(file)
                if network.name == name { return network }
                others.append(network.name)
            } catch {
                others.append("one that is not understood: \(error.message)")
            }
        }
        throw CNIError(
            "there is no CNI network \(name) in \(configurations), only \(others.joined(separator: ", "))",
            remedy: "name one of those, or add a file for it")
    }

    private var nothingConfigured: CNIError {
        let file = "\(configurations)/10-mlrun.conflist"
        let configure = "write one to \(file), such as \(Self.example)"
        if executable("bridge") == nil {
            return CNIError(
                "--network bridge needs a CNI network and plugins: "
                    + "there is no configuration in \(configurations), and no plugin bridge in \(words(plugins))",
                remedy: "\(Self.install) and \(configure); \(Self.noneNeeded)")
        }
        return CNIError(
            "--network bridge needs a CNI network, and there is no configuration in \(configurations)",
            remedy: "\(configure); \(Self.noneNeeded)")
    }

    private func read(_ path: String) throws(CNIError) -> CNINetwork {
        var network = try parse(path) { cursor throws(JSONError) in try CNINetwork(cursor) }
        guard network.takesOtherPlugins else { return network }
        var others: [CNINetwork.Plugin] = []
        for file in try configurationFiles("\(configurations)/\(network.name)", [".conf"]) {
            others.append(try parse(file) { cursor throws(JSONError) in try CNINetwork.Plugin(cursor) })
        }
        network.complete(with: others)
        return network
    }

    private func parse<Model>(
        _ path: String, _ read: (JSONCursor) throws(JSONError) -> Model
    ) throws(CNIError) -> Model {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try File.read(path, limit: 1 << 20) } catch { throw CNIError(error) }
        do throws(JSONError) { return try read(JSONCursor(try JSON(parsing: bytes))) } catch {
            throw CNIError("the CNI configuration \(path) is not understood: \(error)")
        }
    }

    private func configurationFiles(_ directory: String, _ endings: [String]) throws(CNIError) -> [String] {
        do throws(SystemError) {
            return try File.list(directory).filter { name in endings.contains { name.hasSuffix($0) } }
                .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { "\(directory)/\($0)" }
        } catch {
            if error.errno == .noSuchFile { return [] }
            throw CNIError(error)
        }
    }

    private func words(_ directories: [String]) -> String {
        guard directories.count > 1, let last = directories.last else { return directories.first ?? "" }
        return "\(directories.dropLast().joined(separator: ", ")) or \(last)"
    }
}
