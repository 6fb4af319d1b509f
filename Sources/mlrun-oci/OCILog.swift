import CLinux
import Container
import Glibc
import LinuxSystem
import OCISpec
import Synchronization

/// Where errors and warnings go: standard error, or the file of --log as text or as one JSON object a line, of which
/// callers read the last one of level "error". Then nothing but errors is told on standard error too: callers give this program
/// the container's, or read both its streams together.
struct OCILog: Sendable {
    static let shared = Mutex(OCILog(file: nil, isJSON: false))

    let file: String?
    let isJSON: Bool

    init(file: String?, isJSON: Bool) {
        self.file = file
        self.isJSON = isJSON
    }

    init(_ globals: [String: String]) throws(UsageError) {
        let format = globals["log-format"] ?? "text"
        guard format == "text" || format == "json" else {
            throw UsageError(description: "--log-format is \"\(format)\", not text or json")
        }
        self.init(file: globals["log"], isJSON: format == "json")
    }

    func error(_ text: String) { write("error", text) }
    func debug(_ text: String) { write("debug", text) }
    func warning(_ text: String) { write("warning", text) }

    private func write(_ level: String, _ text: String) {
        guard let file else { return tell(level, text) }
        if level == "error" { tell(level, text) }
        let time = Timestamp.rfc3339(nanoseconds: mlr_realtime_nanoseconds() / 1_000_000_000 * 1_000_000_000)
        let line: String
        if isJSON {
            let object: JSON = ["level": .string(level), "msg": .string(text), "time": .string(time)]
            line = object.text() + "\n"
        } else {
            line = "time=\"\(time)\" level=\(level) msg=\(JSON.string(text).text())\n"
        }
        do throws(SystemError) {
            let opened = try File.open(file, O_WRONLY | O_CREAT | O_APPEND, mode: 0o644)
            put(line, to: opened.rawValue)
        } catch {
            if level != "error" { tell(level, text) }
            tell("error", "\(error)")
        }
    }

    private func tell(_ level: String, _ text: String) {
        put("mlrun-oci: \(level == "error" ? "" : "\(level): ")\(text)\n", to: 2)
    }

    private func put(_ line: String, to descriptor: Int32) {
        // There is no further place to tell that the last one cannot be written to.
        try? File.writeAll(Array(line.utf8), to: descriptor)
    }
}
