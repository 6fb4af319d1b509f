import Crypto
import Logging
import NIOCore
import NIOHTTP1
import OCISpec
import Synchronization

@testable import Registry

/// The content of a registry with one repository `team/app`, and the answers a sound registry gives.
struct FakeRegistry: Sendable {
    var manifests: [String: (type: String, bytes: [UInt8])] = [:]
    var blobs: [String: [UInt8]] = [:]
    var answersRanges = true

    static let configuration = Array(
        #"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#.utf8)
    static let layer = pseudoRandom(count: 3 << 20)

    /// One image under the tag `v1`.
    static func withImage(layer: [UInt8] = FakeRegistry.layer) -> FakeRegistry {
        var registry = FakeRegistry()
        let image = registry.addImage(layer: layer)
        registry.manifests["v1"] = registry.manifests[image.digest.description]
        return registry
    }

    @discardableResult
    mutating func addImage(layer: [UInt8] = FakeRegistry.layer, note: String = "") -> Descriptor {
        let config = addBlob(Self.configuration, MediaType.ociConfig)
        let content = addBlob(layer, MediaType.ociLayerGzip)
        let annotations = note.isEmpty ? [:] : ["note": note]
        let manifest = ImageManifest(config: config, layers: [content], annotations: annotations)
        return addManifest(manifest.json.bytes(), MediaType.ociManifest)
    }

    mutating func addIndex(_ children: [Descriptor], tag: String? = nil) -> Descriptor {
        let index = addManifest(ImageIndex(manifests: children).json.bytes(), MediaType.ociIndex)
        if let tag { manifests[tag] = manifests[index.digest.description] }
        return index
    }

    mutating func addManifest(_ bytes: [UInt8], _ type: String) -> Descriptor {
        let digest = Self.digest(bytes)
        manifests[digest.description] = (type, bytes)
        return Descriptor(mediaType: type, digest: digest, size: Int64(bytes.count))
    }

    mutating func addBlob(_ bytes: [UInt8], _ type: String) -> Descriptor {
        let digest = Self.digest(bytes)
        blobs[digest.description] = bytes
        return Descriptor(mediaType: type, digest: digest, size: Int64(bytes.count))
    }

    func answer(_ request: Received) -> Reply {
        let parts = request.path.split(separator: "/").map(String.init)
        guard parts.count == 5, parts[0] == "v2", parts[1] == "team", parts[2] == "app" else {
            return .status(.notFound, [], #"{"errors":[{"code":"NAME_UNKNOWN","message":"repository unknown"}]}"#)
        }
        if parts[3] == "manifests", let manifest = manifests[parts[4]] {
            let headers = [
                ("Content-Type", manifest.type), ("Docker-Content-Digest", Self.digest(manifest.bytes).description),
            ]
            return Reply(headers: HTTPHeaders(headers), body: manifest.bytes)
        }
        if parts[3] == "blobs", let blob = blobs[parts[4]] { return Self.part(of: blob, request, answersRanges) }
        return .status(.notFound, [], #"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
    }

    /// A blob, or the rest of it that a Range header asks for.
    static func part(of blob: [UInt8], _ request: Received, _ answersRanges: Bool = true) -> Reply {
        guard answersRanges, let range = request.range, range.hasPrefix("bytes="),
            let dash = range.firstIndex(of: "-"), let start = Int(range[..<dash].dropFirst(6))
        else { return Reply(body: blob) }
        let last = Int(range[range.index(after: dash)...]) ?? blob.count - 1
        let header = ("Content-Range", "bytes \(start)-\(last)/\(blob.count)")
        return Reply(status: .partialContent, headers: HTTPHeaders([header]), body: Array(blob[start...last]))
    }

    static func digest(_ bytes: [UInt8]) -> OCISpec.Digest { OCISpec.Digest(sha256: SHA256.hash(data: bytes)) }

    static func pseudoRandom(count: Int) -> [UInt8] {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }
}

extension ScriptedServer {
    /// The reference of `team/app` here.
    func reference(_ tag: String? = "v1", digest: OCISpec.Digest? = nil) -> ImageReference {
        ImageReference(registry: address, repository: "team/app", tag: tag, digest: digest)
    }
}

/// A client that retries within milliseconds and knows only the logins it is given.
func makeClient(
    credentials: CredentialSource = .none, attempts: Int = 3, stall: Duration = .seconds(20),
    response: Duration = .seconds(20), authorities: [String] = [], hosts: String? = nil,
    proxies: ProxySettings = .none, splitting: RangeSplitting = .never
) -> RegistryClient {
    RegistryClient(
        configuration: RegistryConfiguration(
            certificateAuthorityFiles: authorities, hostDirectories: hosts.map { [$0] } ?? [],
            credentials: credentials, proxies: proxies, splitting: splitting, connectTimeout: .seconds(20),
            responseTimeout: response, stallTimeout: stall,
            retries: RetryPolicy(
                attempts: attempts, firstPause: .milliseconds(2), longestPause: .milliseconds(10),
                longestRetryAfter: .seconds(2))))
}

/// Starts a server and a client, and stops both whatever happens in between.
func withServer(
    host: String = "127.0.0.1", client: RegistryClient = makeClient(), _ script: @escaping ScriptedServer.Script,
    _ body: (ScriptedServer, RegistryClient) async throws -> Void
) async throws {
    let server = try await ScriptedServer.start(host: host, script)
    do {
        try await body(server, client)
    } catch {
        await client.shutdown()
        await server.stop()
        throw error
    }
    await client.shutdown()
    await server.stop()
}

/// The error that `body` throws; a body that succeeds is a failure.
func failure<Value>(_ body: () async throws -> Value) async throws -> RegistryError {
    do {
        _ = try await body()
    } catch let error as RegistryError {
        return error
    }
    throw NoFailure()
}

struct NoFailure: Error {}

/// Counts calls, so that a script can misbehave the first time only.
final class Counter: Sendable {
    private let value = Mutex(0)
    /// 1 on the first call.
    func next() -> Int {
        value.withLock {
            $0 += 1
            return $0
        }
    }
}

extension BlobStream {
    func readAll() async throws(RegistryError) -> [UInt8] {
        var bytes: [UInt8] = []
        for try await buffer in self { bytes.append(contentsOf: buffer.readableBytesView) }
        return bytes
    }
}
