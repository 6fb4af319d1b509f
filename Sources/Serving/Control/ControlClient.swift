internal import CLinux
internal import Glibc
public import LinuxSystem
public import OCISpec

/// A connection to a running supervisor, for programs that may block: each call sends one request and returns its
/// result. Use it from one thread at a time.
public final class ControlClient {
    private let socket: OwnedDescriptor
    private var input = LineBuffer()

    /// - Throws: ``ControlError`` when no supervisor runs for these directories.
    public init(_ directories: MLRunDirectories) throws(ControlError) {
        do throws(SystemError) {
            socket = OwnedDescriptor(
                taking: try check(mlr_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0), "create a socket"))
            try check(
                mlr_connect_unix(socket.rawValue, directories.supervisorSocket), "connect to",
                path: directories.supervisorSocket)
        } catch {
            switch error.errno {
            case .noSuchFile, .connectionRefused:
                throw ControlError(
                    "mlrund does not run for \(directories.state)", remedy: "mlrun start starts it, or run mlrund")
            case .nameTooLong:
                throw ControlError(
                    "the path \(directories.supervisorSocket) is too long for a socket",
                    remedy: "set MLRUN_STATE to a directory with a name of at most 90 bytes")
            case .accessDenied:
                throw ControlError(error, remedy: "run mlrun as the user that mlrund runs as")
            default: throw ControlError(error)
            }
        }
    }

    /// Sends a request and waits for its result.
    ///
    /// - Parameter onEvent: called for each event before the result; false ends the call without a result, and the
    ///   connection with it.
    /// - Throws: ``ControlError`` as the supervisor gave it, or when the connection broke.
    public func call(
        _ request: ControlRequest, onEvent: (JSON) -> Bool = { _ in true }
    ) throws(ControlError) -> JSON {
        try send(request.json.bytes() + [UInt8(ascii: "\n")])
        while true {
            switch try answer(from: try receive()) {
            case .result(let result): return result
            case .refusal(let error): throw error
            case .event(let event):
                if onEvent(event) { continue }
                _ = shutdown(socket.rawValue, Int32(SHUT_RDWR))
                return .null
            }
        }
    }

    private enum Answer {
        case result(JSON)
        case refusal(ControlError)
        case event(JSON)
    }

    private func answer(from line: [UInt8]) throws(ControlError) -> Answer {
        do throws(JSONError) {
            let answer = JSONCursor(try JSON(parsing: line))
            if let result = answer.value["ok"] { return .result(result) }
            if let error = try answer.optional("error") { return .refusal(try ControlError(error)) }
            return .event(try answer.required("event").value)
        } catch {
            throw ControlError(
                "mlrund answered what is not understood: \(error)",
                remedy: "mlrun and mlrund may be of different versions: restart mlrund")
        }
    }

    private func send(_ bytes: [UInt8]) throws(ControlError) {
        var done = 0
        while done < bytes.count {
            let written = retrying { () -> Int in
                bytes.withUnsafeBytes { raw in
                    let written = Glibc.send(
                        socket.rawValue, raw.baseAddress! + done, raw.count - done, Int32(MSG_NOSIGNAL))
                    return written < 0 ? -Int(errno) : written
                }
            }
            // A supervisor that refuses the connection has said why before it closed.
            if written == -Int(EPIPE) || written == -Int(ECONNRESET) { return }
            if written < 0 { throw ControlError(SystemError("send to mlrund", Errno(rawValue: Int32(-written)))) }
            done += written
        }
    }

    private func receive() throws(ControlError) -> [UInt8] {
        while true {
            if let line = input.next() { return line }
            var buffer = [UInt8](repeating: 0, count: 65536)
            let got = retrying { () -> Int in
                let got = recv(socket.rawValue, &buffer, buffer.count, 0)
                return got < 0 ? -Int(errno) : got
            }
            if got <= 0 {
                throw ControlError(
                    "mlrund ended before it answered", remedy: "ask again: mlrun ps shows what it was doing")
            }
            input.append(buffer[..<got])
        }
    }
}
