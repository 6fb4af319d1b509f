import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Synchronization

/// A registry on a port of 127.0.0.1 with one image, `team/app:v1`. It counts what it is asked for and can hold a blob
/// back in the middle.
final class TestRegistry: Sendable {
    private struct State {
        var requests: [String: Int] = [:]
        var isHolding = false
        var held = 0
    }

    let port: Int
    private let listener: SharedDescriptor
    private let image: TestImage
    private let state = Mutex(State())

    init(_ image: TestImage) throws {
        self.image = image
        let socket = OwnedDescriptor(
            taking: try check(mlr_socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0), "make a socket"))
        try check(mlr_bind_ipv4(socket.rawValue, 0x7F00_0001, 0), "bind a port")
        guard listen(socket.rawValue, 64) == 0 else { throw SystemError("listen", Errno(rawValue: errno)) }
        port = Int(try check(mlr_local_port(socket.rawValue), "ask for the port"))
        listener = SharedDescriptor(socket)
        inThread { [self] in
            while case let client = accept(listener.rawValue, nil, nil), client >= 0 {
                inThread { [self] in serve(client) }
            }
        }
    }

    /// Ends the thread that accepts. Must be called.
    func stop() {
        resume()
        _ = shutdown(listener.rawValue, Int32(SHUT_RDWR))
    }

    var reference: String { "127.0.0.1:\(port)/team/app:v1" }

    /// How often a manifest was asked for, by tag or digest.
    var manifestRequests: Int {
        state.withLock { $0.requests.filter { $0.key.contains("/manifests/") }.values.reduce(0, +) }
    }

    func requests(for blob: Descriptor) -> Int {
        state.withLock { $0.requests["/v2/team/app/blobs/\(blob.digest)"] ?? 0 }
    }

    /// From now on layers stop after their first half.
    func hold() { state.withLock { $0.isHolding = true } }
    func resume() { state.withLock { $0.isHolding = false } }
    /// How many answers stand in their middle.
    var held: Int { state.withLock { $0.held } }

    private func serve(_ client: Int32) {
        defer { close(client) }
        var head: [UInt8] = []
        var byte: UInt8 = 0
        while !head.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            guard recv(client, &byte, 1, 0) == 1, head.count < 16384 else { return }
            head.append(byte)
        }
        let words = String(decoding: head, as: UTF8.self).split(separator: " ", maxSplits: 2)
        guard words.count == 3 else { return }
        let path = String(words[1])
        state.withLock { $0.requests[path, default: 0] += 1 }
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        let wanted = path.hasSuffix("/manifests/v1") ? image.manifest.digest.description : name
        guard let body = path.hasPrefix("/v2/team/app/") ? image.blobs[wanted] : nil else {
            let text = #"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#
            send(client, "HTTP/1.1 404 Not Found\r\nContent-Length: \(text.utf8.count)\r\n\(Self.ending)\(text)")
            return
        }
        let type = path.contains("/manifests/") ? MediaType.ociManifest : "application/octet-stream"
        send(client, "HTTP/1.1 200 OK\r\nContent-Type: \(type)\r\nContent-Length: \(body.count)\r\n\(Self.ending)")
        let isLayer = image.layers.contains { $0.digest.description == name }
        let half = isLayer ? body.count / 2 : 0
        send(client, body[..<half])
        if isLayer { waitWhileHeld() }
        send(client, body[half...])
    }

    private static let ending = "Connection: close\r\n\r\n"

    private func waitWhileHeld() {
        guard
            state.withLock({ state in
                if state.isHolding { state.held += 1 }
                return state.isHolding
            })
        else { return }
        while state.withLock({ $0.isHolding }) { usleep(2000) }
        state.withLock { $0.held -= 1 }
    }

    private func send(_ client: Int32, _ text: String) { send(client, Array(text.utf8)[...]) }

    private func send(_ client: Int32, _ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while !rest.isEmpty {
            let sent = rest.withUnsafeBytes { Glibc.send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if sent <= 0 { return }
            rest = rest.dropFirst(sent)
        }
    }
}

private final class ThreadBody {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func inThread(_ body: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(ThreadBody(body))
    let failure = pthread_create(
        &thread, nil,
        { raw in
            if let raw { Unmanaged<ThreadBody>.fromOpaque(raw).takeRetainedValue().run() }
            return nil
        }, argument.toOpaque())
    precondition(failure == 0)
    pthread_detach(thread)
}
