import NIOCore
import NIOHTTP1
import OCISpec
import Testing

@testable import Registry

@Suite struct BlobTests {
    private let blob = FakeRegistry.layer

    private var descriptor: Descriptor {
        Descriptor(mediaType: MediaType.ociLayer, digest: FakeRegistry.digest(blob), size: Int64(blob.count))
    }

    /// A server that does `fault` to the first request of the blob and serves the later ones well.
    private func faulty(
        ranges: Bool = true, _ fault: @escaping @Sendable (inout Reply) -> Void
    ) -> ScriptedServer.Script {
        let counter = Counter()
        return { [blob] request in
            var reply = FakeRegistry.part(of: blob, request, ranges)
            if counter.next() == 1 { fault(&reply) }
            return reply
        }
    }

    @Test("several blobs stream at once, each complete and unchanged")
    func parallel() async throws {
        let blob = self.blob
        try await withServer {
            FakeRegistry.part(of: blob, $0)
        } _: { [descriptor] server, client in
            let reference = server.reference()
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let stream = try await client.blob(descriptor, of: reference)
                        return try await stream.readAll() == blob && stream.resumes == 0
                    }
                }
                for try await isSame in group { #expect(isSame) }
            }
            #expect(server.requests.count == 4)
        }
    }

    @Test("a connection that breaks in the middle is resumed at the same byte")
    func truncated() async throws {
        try await withServer(faulty { $0.fault = .truncated(after: 1_000_000) }) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            #expect(stream.resumes == 1)
            #expect(stream.received == Int64(blob.count))
            let start = try resumedByte(server)
            #expect(start > 0 && start <= 1_000_000)
        }
    }

    @Test("a server without ranges is read again from the start, and what is known is passed over")
    func withoutRanges() async throws {
        try await withServer(faulty(ranges: false) { $0.fault = .truncated(after: 1_000_000) }) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            #expect(server.requests.count == 2)
        }
    }

    @Test("a chunked body that ends too early is resumed")
    func shortWithoutLength() async throws {
        let script = faulty {
            $0.announcesLength = false
            $0.body.removeLast(500)
        }
        try await withServer(script) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            let start = try resumedByte(server)
            #expect(start > 0 && start <= blob.count - 500)
        }
    }

    @Test("a server that falls silent is given up and the blob resumed")
    func stalled() async throws {
        let client = makeClient(stall: .seconds(1))
        try await withServer(client: client, faulty { $0.fault = .stalled(after: 70_000) }) { server, client in
            let start = ContinuousClock.now
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            #expect(ContinuousClock.now - start >= .seconds(1))
            #expect(stream.resumes == 1)
            #expect(try resumedByte(server) == 70_000)
        }
    }

    @Test("a server that closes the connection after the last byte has sent everything, however slow the reader")
    func closesAtTheEnd() async throws {
        let blob = self.blob
        let script: ScriptedServer.Script = { _ in Reply(headers: ["Connection": "close"], body: blob, fault: .closes) }
        try await withServer(script) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            try await Task.sleep(for: .milliseconds(300))
            #expect(try await stream.readAll() == blob)
            #expect(stream.resumes == 0)
        }
    }

    @Test("a slow reader is no silent server, and holds the server back")
    func slowReader() async throws {
        let large = [UInt8](repeating: 7, count: 96 << 20)
        let descriptor = Descriptor(
            mediaType: MediaType.ociLayer, digest: FakeRegistry.digest([7]), size: Int64(large.count))
        try await withServer(client: makeClient(stall: .seconds(1))) {
            FakeRegistry.part(of: large, $0)
        } _: {
            server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            var iterator = stream.makeAsyncIterator()
            var received = try await iterator.next()?.readableBytes ?? 0
            try await Task.sleep(for: .milliseconds(2500))
            #expect(server.written < 48 << 20, "\(server.written) bytes were sent to a reader that does not read")
            while let buffer = try await iterator.next() { received += buffer.readableBytes }
            #expect(received == large.count)
            #expect(stream.resumes == 0)
        }
    }

    @Test("a blob that breaks off again and again without progress ends with every attempt named")
    func givesUp() async throws {
        let blob = self.blob
        let script: ScriptedServer.Script = { request in
            var reply = FakeRegistry.part(of: blob, request)
            reply.fault = .truncated(after: request.range == nil ? 5000 : 0)
            return reply
        }
        try await withServer(script) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            let error = try await failure { try await stream.readAll() }
            #expect(error.kind == .network)
            #expect(error.message.contains("3 attempts failed: (1)") && error.message.contains("(3)"))
            #expect(error.message.contains("of \(blob.count) bytes received"))
            #expect(server.requests.count == 3)
        }
    }

    @Test(
        "a part that is not the one asked for is not spliced in, and everything asked for instead",
        arguments: ["bytes 4000-LAST/SIZE", "bytes 1-2/SIZE", "bytes 0-LAST/SIZE", "bytes */SIZE", "nonsense", nil])
    func wrongPart(range: String?) async throws {
        let blob = self.blob
        let counter = Counter()
        let script: ScriptedServer.Script = { request in
            guard request.range != nil else {
                var reply = Reply(body: blob)
                if counter.next() == 1 { reply.fault = .truncated(after: 5000) }
                return reply
            }
            let told = range?.replacing("LAST", with: "\(blob.count - 1)").replacing("SIZE", with: "\(blob.count)")
            return Reply(
                status: .partialContent, headers: told.map { ["Content-Range": $0] } ?? [:], body: Array(blob[4000...]))
        }
        try await withServer(script) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
            #expect(server.requests.map { $0.range != nil } == [false, true, false])
        }
    }

    @Test("a registry that calls a range not satisfiable is read from the start")
    func notSatisfiable() async throws {
        let blob = self.blob
        let counter = Counter()
        let script: ScriptedServer.Script = { request in
            if request.range != nil { return .status(.rangeNotSatisfiable) }
            var reply = Reply(body: blob)
            if counter.next() == 1 { reply.fault = .truncated(after: 5000) }
            return reply
        }
        try await withServer(script) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            #expect(try await stream.readAll() == blob)
        }
    }

    @Test("an announced length that differs from the manifest is refused before a byte is read")
    func wrongLength() async throws {
        let longer = blob + [0]
        try await withServer { _ in
            Reply(body: longer)
        } _: { server, client in
            let error = try await failure { try await client.blob(descriptor, of: server.reference()) }
            #expect(error.kind == .server)
            #expect(error.message.contains("\(longer.count) bytes"))
        }
    }

    @Test("a body longer than the manifest says is cut off with an error")
    func tooLong() async throws {
        let longer = blob + [0]
        try await withServer { _ in
            Reply(body: longer, announcesLength: false)
        } _: { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            let error = try await failure { try await stream.readAll() }
            #expect(error.kind == .server)
            #expect(error.message.contains("more than the \(blob.count) bytes"))
        }
    }

    @Test("a small blob with the wrong content is refused with both digests")
    func wrongDigest() async throws {
        let damaged = Array("damaged".utf8)
        var descriptor = self.descriptor
        descriptor.size = Int64(damaged.count)
        try await withServer { _ in
            Reply(body: damaged)
        } _: { server, client in
            let error = try await failure { try await client.smallBlob(descriptor, of: server.reference()) }
            #expect(error.kind == .digestMismatch)
            #expect(error.message.contains(descriptor.digest.description))
            #expect(error.message.contains(FakeRegistry.digest(damaged).description))
        }
    }

    @Test("a small blob above its limit is not even asked for")
    func overLimit() async throws {
        try await withServer { _ in
            Reply()
        } _: { server, client in
            let error = try await failure {
                try await client.smallBlob(descriptor, of: server.reference(), limit: 1000)
            }
            #expect(error.kind == .invalidManifest)
            #expect(server.requests.isEmpty)
        }
    }

    @Test("a blob that is not there is named")
    func missing() async throws {
        try await withServer { _ in
            .status(.notFound)
        } _: { server, client in
            let error = try await failure { try await client.blob(descriptor, of: server.reference()) }
            #expect(error.kind == .notFound)
            #expect(error.message.contains(descriptor.digest.description))
        }
    }

    @Test("cancelling the reader closes the connection")
    func cancelled() async throws {
        let script: ScriptedServer.Script = { [blob] _ in Reply(body: blob, fault: .stalled(after: 1000)) }
        try await withServer(client: makeClient(stall: .seconds(60)), script) { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            let reader = Task { try await failure { try await stream.readAll() } }
            while stream.received < 1000 { try await Task.sleep(for: .milliseconds(5)) }
            reader.cancel()
            #expect(try await reader.value.kind == .cancelled)
            try await waitForClosing(server)
        }
    }

    @Test("a stream that is dropped unread closes its connection")
    func dropped() async throws {
        let script: ScriptedServer.Script = { [blob] _ in Reply(body: blob, fault: .stalled(after: 1000)) }
        try await withServer(client: makeClient(stall: .seconds(60)), script) { server, client in
            _ = try await client.blob(descriptor, of: server.reference())
            try await waitForClosing(server)
        }
    }

    @Test("a stream can be read only once")
    func once() async throws {
        let blob = self.blob
        try await withServer { _ in
            Reply(body: blob)
        } _: { server, client in
            let stream = try await client.blob(descriptor, of: server.reference())
            _ = try await stream.readAll()
            #expect(try await failure { try await stream.readAll() }.kind == .unsupported)
        }
    }

    @Test("Content-Range is read strictly")
    func contentRange() {
        #expect(ContentRange("bytes 5-9/10")?.covers(5..<10, of: 10) == true)
        #expect(ContentRange("Bytes 5-9/*")?.covers(5..<10, of: 10) == true)
        #expect(ContentRange("bytes 5-9/10")?.covers(5..<9, of: 10) == false)
        #expect(ContentRange("bytes 5-9/11")?.covers(5..<10, of: 10) == false)
        let wrong = [
            "", "bytes */10", "5-9/10", "bytes 5-9", "bytes x-9/10", "bytes 5-9/ten", "bytes 9-5/10", "bytes 5-10/10",
            "bytes +5-9/10", "bytes 5-9223372036854775807/*", "bytes 5-99999999999999999999/*", "bytes 5--9/10",
        ]
        for text in wrong { #expect(ContentRange(text) == nil, "\(text)") }
    }

    /// Where the second of two requests began. It may be a little before the break: what had arrived but not been read
    /// when the connection went is lost with it.
    private func resumedByte(_ server: ScriptedServer) throws -> Int {
        let ranges = server.requests.map(\.range)
        #expect(ranges.count == 2 && ranges.first == .some(nil))
        let range = try #require(ranges.last ?? nil)
        return try #require(Int(range.dropFirst("bytes=".count).dropLast()))
    }

    private func waitForClosing(_ server: ScriptedServer) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while server.openConnections > 0, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(server.openConnections == 0)
    }
}
