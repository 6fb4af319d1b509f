import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Serving

@Suite("CNI: configurations and plugins")
struct CNIPlacesTests {
    private func list(_ name: String, _ types: [String], version: String = "1.0.0") -> String {
        let plugins = types.map { "{\"type\":\"\($0)\"}" }.joined(separator: ",")
        return "{\"cniVersion\":\"\(version)\",\"name\":\"\(name)\",\"plugins\":[\(plugins)]}"
    }

    @Test("the first file in lexical order is the network, and every kind of file counts")
    func firstFile() throws {
        let fake = try FakePlugins(["bridge", "firewall"])
        try fake.configure("20-second.conflist", list("second", ["bridge"]))
        try fake.configure("10-first.conf", #"{"cniVersion":"0.4.0","name":"first","type":"bridge","mtu":1400}"#)
        try fake.configure("00-notes.txt", "no configuration")
        let first = try fake.places.network(nil)
        #expect(first.name == "first" && first.plugins.map(\.type) == ["bridge"])
        #expect(first.version == "0.4.0")
        try fake.configure("05-zero.json", list("zero", ["bridge", "firewall"]))
        #expect(try fake.places.network(nil).plugins.map(\.type) == ["bridge", "firewall"])
    }

    @Test("a network is found by its name, and a missing one is told with those there are")
    func byName() throws {
        let fake = try FakePlugins(["bridge"])
        try fake.configure("10-a.conflist", list("a", ["bridge"]))
        try fake.configure("20-b.conflist", list("b", ["bridge"]))
        #expect(try fake.places.network("b").name == "b")
        let error = #expect(throws: CNIError.self) { try fake.places.network("c") }
        #expect(error?.message == "there is no CNI network c in \(fake.configurations), only a, b")
    }

    @Test("without a configuration the error says where one belongs, shows one that is valid, and what needs none")
    func noConfiguration() throws {
        let fake = try FakePlugins(["bridge"])
        let error = try #require(throws: CNIError.self) { try fake.places.network(nil) }
        #expect(error.message.contains("there is no configuration in \(fake.configurations)"))
        #expect(!error.description.contains("containernetworking-plugins"))
        let remedy = try #require(error.remedy)
        #expect(remedy.contains("\(fake.configurations)/10-mlrun.conflist"))
        #expect(remedy.contains("without --network bridge"))
        // The example is one that works.
        let start = try #require(remedy.firstIndex(of: "{")), end = try #require(remedy.lastIndex(of: "}"))
        let network = try CNINetwork(JSONCursor(try JSON(parsing: String(remedy[start...end]))))
        #expect(network.executables == ["bridge", "host-local"])
    }

    @Test("without configuration and plugins the error names both and the package")
    func nothingAtAll() throws {
        let places = CNIPlaces(configurations: "/nowhere/net.d", plugins: ["/nowhere/a", "/nowhere/b"])
        let error = try #require(throws: CNIError.self) { try places.network(nil) }
        #expect(error.message.contains("/nowhere/net.d") && error.message.contains("/nowhere/a or /nowhere/b"))
        #expect(error.remedy?.contains("containernetworking-plugins") == true)
    }

    @Test("a plugin that is not installed is named before anything is done, also one that manages addresses")
    func missingPlugin() throws {
        let fake = try FakePlugins(["bridge"])
        try fake.configure("10.conflist", list("net", ["bridge", "tuning"]))
        let error = try #require(throws: CNIError.self) { try fake.places.network(nil) }
        #expect(error.message.hasPrefix("the CNI network net needs the plugin tuning, which is not in "))
        #expect(error.message.contains(fake.programs))
        #expect(error.remedy?.contains("containernetworking-plugins") == true)
        try fake.configure(
            "10.conflist",
            #"{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"bridge","ipam":{"type":"host-local"}}]}"#)
        let other = try #require(throws: CNIError.self) { try fake.places.network(nil) }
        #expect(other.message.contains("the plugin host-local"))
    }

    @Test(
        "a configuration that is not understood is named with its field",
        arguments: [
            ("{", "10.conflist"), (#"{"cniVersion":"1.0.0","plugins":[{"type":"bridge"}]}"#, "name: is missing"),
            (#"{"cniVersion":"1.0.0","name":"../x","plugins":[{"type":"bridge"}]}"#, "\"../x\" is no network name"),
            (#"{"cniVersion":"1.0.0","name":"n","plugins":[]}"#, "plugins: names no plugin"),
            (#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"../sh"}]}"#, "plugins[0].type"),
            (#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"b","ipam":{"type":"a/b"}}]}"#, "ipam.type"),
            (#"{"cniVersion":"0.2.0","name":"n","plugins":[{"type":"bridge"}]}"#, "0.2.0 is not supported"),
            (#"{"name":"n","plugins":[{"type":"bridge"}]}"#, "cniVersion: is missing"),
        ])
    func invalid(text: String, words: String) throws {
        let fake = try FakePlugins(["bridge"])
        try fake.configure("10.conflist", text)
        try fake.configure("20.conflist", list("good", ["bridge"]))
        let error = try #require(throws: CNIError.self) { try fake.places.network(nil) }
        #expect(error.message.contains(words) && error.message.contains("\(fake.configurations)/10.conflist"))
        #expect(error.remedy != nil)
    }

    @Test("of several versions the highest known one is spoken, and a folder adds plugins unless that is forbidden")
    func newerLists() throws {
        let fake = try FakePlugins(["bridge", "firewall"])
        let list =
            #"{"cniVersion":"0.4.0","cniVersions":["0.4.0","1.1.0","9.0.0"],"name":"n","plugins":[{"type":"bridge"}]"#
        try fake.configure("10.conflist", list + "}")
        try fake.configure("n/10.conf", #"{"type":"firewall"}"#)
        let network = try fake.places.network(nil)
        #expect(network.version == "1.1.0")
        #expect(network.plugins.map(\.type) == ["bridge", "firewall"])
        try fake.configure("10.conflist", list + #","loadOnlyInlinedPlugins":true}"#)
        #expect(try fake.places.network(nil).plugins.map(\.type) == ["bridge"])
    }
}
