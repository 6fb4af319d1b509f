internal import Glibc

/// What the environment of mlrund says of its gateway, as the gateway's command line.
enum GatewayOptions {
    private static let variables = [
        ("MLRUN_MAX_CONNECTIONS", "--max-connections"),
        ("MLRUN_MAX_CONNECTIONS_PER_CLIENT", "--max-connections-per-client"),
    ]

    /// - Parameter variable: looks one up; nil where it is not set.
    static func arguments(
        _ variable: (String) -> String? = { getenv($0).map { String(cString: $0) } }
    ) throws(ControlError) -> [String] {
        var result: [String] = []
        for (name, option) in variables {
            guard let text = variable(name), !text.isEmpty else { continue }
            guard let count = Int(text), (1...1_000_000).contains(count) else {
                throw ControlError("\(name)=\(text) is no number from 1 to 1000000", remedy: "correct it, or unset it")
            }
            result += [option, "\(count)"]
        }
        return result
    }
}
