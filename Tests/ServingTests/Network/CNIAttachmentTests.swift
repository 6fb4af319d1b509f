import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Serving

@Suite("CNI: ADD and DEL")
struct CNIAttachmentTests {
    private static let list = """
        {"cniVersion":"1.0.0","name":"models","plugins":[
          {"type":"bridge","bridge":"br7","ipam":{"type":"ipam"},"capabilities":{"cgroupPath":true,"portMappings":true}},
          {"type":"tuning","capabilities":{"cgroupPath":false}},{"type":"firewall"}]}
        """

    private func attachment(_ fake: FakePlugins, _ list: String = list) throws -> CNIAttachment {
        try fake.configure("10.conflist", list)
        return CNIAttachment(
            network: try fake.places.network(nil), containerID: "svc-1-abc", namespace: "/run/netns",
            arguments: "IgnoreUnknown=1", runtime: JSONObject([("cgroupPath", "/mlrun/svc-1")]))
    }

    private func plugins() throws -> FakePlugins {
        let fake = try FakePlugins(["bridge", "tuning", "firewall", "ipam"])
        for (number, type) in ["bridge", "tuning", "firewall"].enumerated() {
            try fake.answer(type, "ADD", .result("10.9.0.\(number + 5)/16"))
        }
        return fake
    }

    @Test("ADD calls the plugins in order, each with the result of the one before it")
    func chain() throws {
        let fake = try plugins()
        var attachment = try attachment(fake)
        let result = try attachment.add(in: fake.places)
        #expect(result.addresses == [.init(address: "10.9.0.7/16", gateway: "10.9.0.1")])
        #expect(result.names.servers == ["10.9.0.53"])
        let calls = try fake.recorded()
        #expect(calls.map(\.plugin) == ["bridge", "tuning", "firewall"])
        #expect(calls.allSatisfy { $0.command == "ADD" })
        #expect(
            calls.map { $0.input["prevResult"]?["ips"]?.array?.first?["address"]?.string }
                == [nil, "10.9.0.5/16", "10.9.0.6/16"])
        let variables = calls[0].environment
        #expect(variables["CNI_CONTAINERID"] == "svc-1-abc" && variables["CNI_NETNS"] == "/run/netns")
        #expect(variables["CNI_IFNAME"] == "eth0" && variables["CNI_ARGS"] == "IgnoreUnknown=1")
        #expect(variables["CNI_PATH"] == fake.places.plugins.joined(separator: ":"))
        #expect(variables["PATH"]?.isEmpty == false)
    }

    @Test("a plugin reads its own configuration, the network's name and version, and what it asked the runtime for")
    func configuration() throws {
        let fake = try plugins()
        var attachment = try attachment(fake)
        _ = try attachment.add(in: fake.places)
        let inputs = try fake.recorded().map(\.input)
        #expect(inputs[0]["name"]?.string == "models" && inputs[0]["cniVersion"]?.string == "1.0.0")
        #expect(inputs[0]["bridge"]?.string == "br7" && inputs[0]["ipam"]?["type"]?.string == "ipam")
        #expect(inputs[0]["runtimeConfig"] == ["cgroupPath": "/mlrun/svc-1"])
        #expect(inputs.allSatisfy { $0["capabilities"] == nil })
        #expect(inputs[1]["runtimeConfig"] == nil && inputs[2]["runtimeConfig"] == nil)
    }

    @Test("DEL calls them in reverse with the last result, from the record on disk")
    func delete() throws {
        let fake = try plugins()
        var added = try attachment(fake)
        _ = try added.add(in: fake.places)
        let read = try CNIAttachment(JSONCursor(try JSON(parsing: added.json.bytes())))
        #expect(read == added)
        try read.delete(in: fake.places, namespaceExists: true)
        let calls = try fake.recorded().suffix(3)
        #expect(calls.map(\.plugin) == ["firewall", "tuning", "bridge"])
        #expect(calls.allSatisfy { $0.command == "DEL" && $0.environment["CNI_NETNS"] == "/run/netns" })
        #expect(calls.allSatisfy { $0.environment["CNI_CONTAINERID"] == "svc-1-abc" })
        for call in calls {
            #expect(call.input["prevResult"]?["ips"]?.array?.first?["address"]?.string == "10.9.0.7/16")
        }
        #expect(calls.last?.input["runtimeConfig"] == ["cgroupPath": "/mlrun/svc-1"])
    }

    @Test("DEL of what was only begun has no result, and names no namespace that is gone")
    func deleteUnfinished() throws {
        let fake = try plugins()
        let begun = try CNIAttachment(JSONCursor(try attachment(fake).json))
        try begun.delete(in: fake.places, namespaceExists: false)
        let calls = try fake.recorded()
        #expect(calls.count == 3)
        #expect(calls.allSatisfy { $0.environment["CNI_NETNS"] == nil && $0.input["prevResult"] == nil })
    }

    @Test("a network of version 0.3.1 is not told the result on DEL, which came with 0.4.0")
    func oldVersion() throws {
        let fake = try plugins()
        let list = #"{"cniVersion":"0.3.1","name":"old","plugins":[{"type":"bridge"}]}"#
        var attachment = try attachment(fake, list)
        _ = try attachment.add(in: fake.places)
        try attachment.delete(in: fake.places, namespaceExists: true)
        #expect(try fake.recorded().last?.input["prevResult"] == nil)
    }

    @Test("a plugin that fails stops the chain, and its code, message and details are told")
    func failure() throws {
        let fake = try plugins()
        try fake.answer("tuning", "ADD", "", script: #"echo '{"code":7,"msg":"bad sysctl","details":"x.y"}'; exit 1"#)
        var attachment = try attachment(fake)
        let error = try #require(throws: CNIError.self) { try attachment.add(in: fake.places) }
        #expect(
            error.message == "the CNI plugin tuning of the network models (ADD) failed: bad sysctl: x.y (code 7)")
        #expect(error.remedy == "correct the network's configuration")
        #expect(try fake.recorded().map(\.plugin) == ["bridge", "tuning"])
        #expect(attachment.result == nil)
    }

    @Test(
        "a plugin that breaks without an error object is told by its end and its last words",
        arguments: [
            ("echo one >&2; echo two >&2; exit 3", "ended with status 3: two"),
            ("kill -9 $$", "was killed by signal 9"),
            ("echo 'not json'; exit 1", "ended with status 1: not json"),
        ])
    func broken(script: String, words: String) throws {
        let fake = try plugins()
        try fake.answer("bridge", "ADD", "", script: script)
        var attachment = try attachment(fake)
        let error = try #require(throws: CNIError.self) { try attachment.add(in: fake.places) }
        #expect(error.message == "the CNI plugin bridge of the network models (ADD) \(words)")
    }

    @Test("success without a result is an error that names the field")
    func noResult() throws {
        let fake = try plugins()
        try fake.answer("bridge", "ADD", #"{"ips":[{"gateway":"10.0.0.1"}]}"#)
        var attachment = try attachment(fake)
        let error = try #require(throws: CNIError.self) { try attachment.add(in: fake.places) }
        #expect(error.message.hasSuffix("gave no result: ips[0].address: is missing"))
    }

    @Test("a plugin that hangs is killed, and one that leaves a program behind is not waited for")
    func hanging() throws {
        let fake = try plugins()
        try fake.answer("bridge", "ADD", "", script: "exec sleep 100")
        let plugin = CNIPlugin(type: "bridge", path: "\(fake.programs)/bridge", network: "models")
        let error = try #require(throws: CNIError.self) {
            try plugin.run(.add, environment: [], configuration: [:], timeoutSeconds: 1)
        }
        #expect(error.message.hasSuffix("did not end within 1 s and was killed"))
        try fake.answer("bridge", "ADD", "{}", script: "sleep 5 &")
        let start = ContinuousClock.now
        #expect(try plugin.run(.add, environment: [], configuration: [:]) == Array("{}".utf8))
        #expect(ContinuousClock.now - start < .seconds(4))
    }

    @Test("only addresses of the container's interfaces are its own")
    func addresses() throws {
        let text = """
            {"interfaces":[{"name":"br"},{"name":"eth0","sandbox":"/n"}],
             "ips":[{"address":"10.0.0.1/8","interface":0},{"address":"10.0.0.9/8","interface":1},
                    {"address":"fd00::9/64"}]}
            """
        let result = try CNIResult(JSONCursor(try JSON(parsing: text)))
        #expect(result.addresses.map(\.address) == ["10.0.0.9/8", "fd00::9/64"])
        let wrong = #"{"interfaces":[],"ips":[{"address":"10.0.0.9/8","interface":2}]}"#
        #expect(throws: JSONError.self) { try CNIResult(JSONCursor(try JSON(parsing: wrong))) }
    }
}

@Suite("CNI: resolv.conf")
struct ResolverTextTests {
    @Test("what the network says comes in resolv.conf's form")
    func fromResult() {
        let names = CNIResult.NameService(
            servers: ["10.0.0.1", "10.0.0.2"], domain: "d.example", search: [], options: ["ndots:2"])
        #expect(
            ResolverText.make(names) == "search d.example\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions ndots:2\n")
    }

    @Test("of the host's servers those on its loopback are left out, and the real ones behind them are used")
    func fromHost() {
        let stub = "nameserver 127.0.0.53\nsearch x\n"
        #expect(ResolverText.forContainer(host: "nameserver 1.1.1.1\n", upstream: "") == "nameserver 1.1.1.1\n")
        #expect(
            ResolverText.forContainer(host: "nameserver 127.0.0.1\nnameserver 9.9.9.9\n", upstream: "")
                == "nameserver 9.9.9.9\n")
        #expect(
            ResolverText.forContainer(host: stub, upstream: "nameserver 8.8.8.8\nsearch x\n")
                == "nameserver 8.8.8.8\nsearch x\n")
        #expect(ResolverText.forContainer(host: stub, upstream: "") == "search x\n")
    }
}
