import NIOCore
import NIOHTTP1
import OCISpec
import Synchronization
import Testing

@testable import Registry

@Suite("One blob over several connections") struct SplittingTests {
    private let blob = FakeRegistry.pseudoRandom(count: 2 << 20)
    /// Slow is whatever lets its reader wait, from the first bytes on.
    private let eager = RangeSplitting(connections: 4, piece: 256 << 10, slowerThan: .max, watch: .milliseconds(20))

    private var descriptor: Descriptor {
        Descriptor(mediaType: MediaType.ociLayer, digest: FakeRegistry.digest(blob), size: Int64(blob.count))
    }

    /// A registry each of whose connections is slow.
    private func slow(_ change: @escaping @Sendable (Received, inout Reply) -> Void = { _, _ in })
        -> ScriptedServer.Script
    {
        { [blob] request in
            var reply = FakeRegistry.part(of: blob, request)
            reply.fault = .throttled(bytes: 8 << 10, pause: .milliseconds(4))
            change(request, &reply)
            return reply
        }
    }

    private func bounds(_ server: ScriptedServer) -> [Range<Int>] {
        server.requests.compactMap { request in
            guard let numbers = request.range?.dropFirst("bytes=".count).split(separator: "-"), numbers.count == 2,
                let first = Int(numbers[0]), let last = Int(numbers[1])
            else { return nil }
            return first..<(last + 1)
        }
    }

    @Test("a slow connection gets others beside it, which together bring every byte once and in order")
    func splits() async throws {
        try await withServer(client: makeClient(splitting: eager), slow()) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            #expect(stream.splits == 1 && stream.resumes == 0)
            let pieces = bounds(server).sorted { $0.lowerBound < $1.lowerBound }
            #expect(pieces.count >= 4)
            #expect(pieces.last?.upperBound == blob.count)
            for (one, next) in zip(pieces, pieces.dropFirst()) { #expect(one.upperBound == next.lowerBound) }
            // The first connection is left at the first piece; only what was on its way then was sent in vain.
            let asked = (pieces.first?.lowerBound ?? 0) + pieces.reduce(0) { $0 + $1.count }
            #expect(asked == blob.count)
            #expect(server.written <= blob.count + 256 << 10, "\(server.written) bytes for \(blob.count)")
        }
    }

    @Test("no more pieces are under way than connections are allowed")
    func window() async throws {
        let most = Mutex(0)
        let holder = Mutex<ScriptedServer?>(nil)
        let script = slow { _, _ in
            let open = holder.withLock { $0?.openConnections ?? 0 }
            most.withLock { $0 = max($0, open) }
        }
        try await withServer(client: makeClient(splitting: eager), script) { server, client in
            holder.withLock { $0 = server }
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            // One that is closed by the client may still be open here while the next one begins.
            #expect(most.withLock { $0 } <= eager.connections + 1)
        }
        holder.withLock { $0 = nil }
    }

    @Test("a fast connection is left alone, as is one whose reader is the slow one")
    func fast() async throws {
        let patient = RangeSplitting(connections: 4, piece: 64 << 10, slowerThan: 1, watch: .zero)
        for (splitting, pause) in [(patient, Duration.zero), (eager, .milliseconds(5))] {
            let blob = self.blob
            try await withServer(client: makeClient(splitting: splitting)) {
                FakeRegistry.part(of: blob, $0)
            } _: { server, client in
                let stream = try await client.blob(descriptor, of: server.reference())
                var bytes: [UInt8] = []
                for try await buffer in stream {
                    bytes.append(contentsOf: buffer.readableBytesView)
                    if pause > .zero { try await Task.sleep(for: pause) }
                }
                #expect(bytes == blob)
                #expect(stream.splits == 0)
                #expect(server.requests.count == 1)
            }
        }
    }

    @Test("a slow blob too small to be worth it is not split")
    func small() async throws {
        let large = RangeSplitting(connections: 4, piece: 1 << 20, slowerThan: .max, watch: .zero)
        try await withServer(client: makeClient(splitting: large), slow()) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            #expect(server.requests.count == 1)
        }
    }

    @Test(
        "a registry that does not answer ranges as asked goes on with its one connection",
        arguments: [
            HTTPResponseStatus.ok, .rangeNotSatisfiable, .tooManyRequests, .partialContent, .internalServerError,
        ])
    func refused(status: HTTPResponseStatus) async throws {
        let blob = self.blob
        let script = slow { request, reply in
            guard request.range != nil else { return }
            reply = Reply(status: status)
            if status == .ok { reply.body = blob }
            if status == .partialContent {
                reply.headers = ["Content-Range": "bytes 1-9/\(blob.count)"]
                reply.body = Array(blob[1...9])
            }
        }
        try await withServer(client: makeClient(splitting: eager), script) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            #expect(stream.splits == 0 && stream.resumes == 0)
            #expect(server.requests.count == 2, "one trial and no more")
        }
    }

    @Test("a registry that is lost in the middle of the pieces is resumed in one stream at the same byte")
    func breaks() async throws {
        let count = Counter()
        let script = slow { request, reply in
            // The trial and the next piece are whole, the one after them breaks off.
            if request.range != nil, count.next() == 3 { reply.fault = .truncated(after: 1000) }
        }
        try await withServer(client: makeClient(splitting: eager), script) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            #expect(stream.resumes == 1)
            #expect(server.requests.contains { $0.range?.hasSuffix("-") == true }, "one stream from there on")
        }
    }

    @Test("a reader that is cancelled closes every connection")
    func cancelled() async throws {
        try await withServer(client: makeClient(splitting: eager), slow()) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            let reader = Task { try await failure { try await stream.readAll() } }
            while stream.splits == 0 { try await Task.sleep(for: .milliseconds(5)) }
            reader.cancel()
            #expect(try await reader.value.kind == .cancelled)
            while server.openConnections > 0 { try await Task.sleep(for: .milliseconds(5)) }
        }
    }

    @Test("a connection is slow only if its reader waits for it, and only after it was watched")
    func meter() {
        let splitting = RangeSplitting(slowerThan: 1000, watch: .seconds(2))
        let start = ContinuousClock.now
        var meter = ConnectionMeter(now: start)
        meter.count(1500, waited: .seconds(1.5))
        #expect(!meter.isSlow(splitting, now: start + .seconds(1)))
        #expect(meter.isSlow(splitting, now: start + .seconds(2)))
        meter.count(1000, waited: .zero)
        #expect(!meter.isSlow(splitting, now: start + .seconds(2)))
        #expect(!meter.isSlow(splitting, now: start + .seconds(4)), "most of the time nobody waited")
    }
}
