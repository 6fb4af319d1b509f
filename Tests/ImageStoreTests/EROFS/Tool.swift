import Glibc
import LinuxSystem

/// Runs programs of the system for tests.
enum Tool {
    struct Failed: Error, CustomStringConvertible {
        let description: String
    }

    static func exists(_ name: String) -> Bool {
        ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].contains { File.exists("\($0)/\(name)") }
    }

    /// Runs a shell command; throws with its output unless it ends well.
    @discardableResult
    static func shell(_ command: String) throws -> String {
        guard let stream = popen("(\(command)) 2>&1", "r") else { throw Failed(description: "popen: \(errno)") }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let got = fread(&buffer, 1, buffer.count, stream)
            if got == 0 { break }
            output += buffer[..<got]
        }
        let text = String(decoding: output, as: UTF8.self)
        guard pclose(stream) == 0 else { throw Failed(description: "\(command): \(text)") }
        return text
    }
}
