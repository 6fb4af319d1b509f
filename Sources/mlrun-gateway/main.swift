internal import Gateway
internal import Glibc
internal import LinuxSystem

/// Says what is wrong and how to go on, and ends with Docker's code for a fault of the runtime itself.
func fail(_ message: String) -> Never {
    // Without a standard error there is nobody to tell.
    try? File.writeAll(Array("mlrun-gateway: \(message)\n".utf8), to: STDERR_FILENO)
    exit(125)
}

do throws(OptionError) {
    switch try GatewayOptions.parse(Array(CommandLine.arguments.dropFirst())) {
    case .help: print(GatewayOptions.usage)
    case .serve(let options): do { try serve(options) } catch { fail("\(error)") }
    }
} catch {
    fail(error.message)
}
