import Glibc
import LinuxSystem
import OCISpec

@testable import Serving

/// CNI plugins that write down how they were called, and answer what a test wants.
final class FakePlugins {
    struct Call: Equatable {
        let command: String
        let plugin: String
        let environment: [String: String]
        let input: JSON

        static func == (left: Call, right: Call) -> Bool {
            left.command == right.command && left.plugin == right.plugin
        }
    }

    private let place: TemporaryDirectory
    var configurations: String { "\(place.path)/net.d" }
    var programs: String { "\(place.path)/bin" }
    private var calls: String { "\(place.path)/calls" }
    private var answers: String { "\(place.path)/answers" }
    var places: CNIPlaces { CNIPlaces(configurations: configurations, plugins: ["\(place.path)/none", programs]) }

    init(_ types: [String]) throws {
        place = try TemporaryDirectory()
        for directory in [configurations, programs, calls, answers] { try File.makeDirectories(directory) }
        // The calls are numbered by how many there were before.
        let script = """
            #!/bin/sh
            type=${0##*/}
            call=\(calls)/$(ls \(calls) | grep -c environment)
            env | grep -E '^(CNI_|PATH=)' > $call.environment
            echo "TYPE=$type" >> $call.environment
            cat > $call.input
            answer=\(answers)/$type.$CNI_COMMAND
            [ ! -e $answer.script ] || . $answer.script
            [ ! -e $answer ] || cat $answer
            """
        for type in types {
            try File.replace("\(programs)/\(type)", with: Array(script.utf8), mode: 0o755, durable: false)
        }
    }

    func configure(_ file: String, _ text: String) throws {
        let path = "\(configurations)/\(file)"
        try File.makeDirectories(File.parent(of: path))
        try File.replace(path, with: Array(text.utf8), durable: false)
    }

    /// - Parameter script: shell commands before the answer, such as `exit 1`.
    func answer(_ type: String, _ command: String, _ text: String, script: String? = nil) throws {
        try File.replace("\(answers)/\(type).\(command)", with: Array(text.utf8), durable: false)
        if let script {
            try File.replace("\(answers)/\(type).\(command).script", with: Array(script.utf8), durable: false)
        }
    }

    /// All calls so far, in their order.
    func recorded() throws -> [Call] {
        let count = try File.list(calls).count { $0.hasSuffix(".environment") }
        return try (0..<count).map { number in
            var variables: [String: String] = [:]
            for line in try File.readText("\(calls)/\(number).environment").split(separator: "\n") {
                let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                variables[String(parts[0])] = String(parts[1])
            }
            return Call(
                command: variables["CNI_COMMAND"] ?? "", plugin: variables["TYPE"] ?? "", environment: variables,
                input: try JSON(parsing: try File.read("\(calls)/\(number).input")))
        }
    }
}

extension String {
    /// A result of ADD with one address in the container.
    static func result(_ address: String, version: String = "1.0.0") -> String {
        """
        {"cniVersion":"\(version)","interfaces":[{"name":"veth1"},{"name":"eth0","sandbox":"/n"}],
         "ips":[{"address":"\(address)","gateway":"10.9.0.1","interface":1}],
         "routes":[{"dst":"0.0.0.0/0"}],"dns":{"nameservers":["10.9.0.53"],"search":["models.example"]}}
        """
    }
}
