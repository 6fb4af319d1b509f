import NIOCore
import OCISpec

@testable import Gateway

extension FuzzTarget {
    static let gateway = [request, response, control]

    /// A request is understood alike in whatever pieces it comes, and by whoever it is passed on to: a difference would
    /// let one request hide in another.
    private static let request = FuzzTarget(name: "http-request") { bytes throws(FuzzFinding) in
        let whole = Message(bytes, in: [bytes[...]]) { head throws(HTTPFault) in try RequestHead(head).framing }
        let inPieces = Message(bytes, in: bytes.pieces) { head throws(HTTPFault) in try RequestHead(head).framing }
        try promise(whole == inPieces, "reads differently in pieces: \(whole), then \(inPieces)")
        guard let head = whole.head, let request = try? RequestHead(head) else { return }
        for isTrusted in [false, true] {
            var forwarded = ByteBuffer()
            request.writeForwarded(to: &forwarded, origin: ForwardedOrigin(address: "192.0.2.1", isTrusted: isTrusted))
            let length = try? HTTPHeadScanner.length(of: forwarded)
            try promise(length == forwarded.readableBytes, "the head that is passed on ends too early")
            // The forwarding adds fields, so that a head at a limit may exceed it then.
            var limits = HTTPLimits()
            limits.fields += 8
            limits.startLine += 64
            let again = try? RequestHead(forwarded, limits: limits)
            try promise(again?.framing == request.framing, "is passed on with another end: \(request.framing)")
            try promise(again?.connection.hosts.count == 1, "is passed on without a Host, or with two")
        }
    }

    private static let response = FuzzTarget(name: "http-response") { bytes throws(FuzzFinding) in
        for toHead in [false, true] {
            let read = { (head: ByteBuffer) throws(HTTPFault) in try ResponseHead(head, toHead: toHead).framing }
            let whole = Message(bytes, in: [bytes[...]], framing: read)
            let inPieces = Message(bytes, in: bytes.pieces, framing: read)
            try promise(whole == inPieces, "reads differently in pieces: \(whole), then \(inPieces)")
            guard let head = whole.head, let response = try? ResponseHead(head, toHead: toHead) else { continue }
            var forwarded = ByteBuffer()
            response.writeForwarded(to: &forwarded, framing: response.framing, note: .close)
            let again = try? ResponseHead(forwarded, toHead: toHead)
            try promise(again?.framing == response.framing, "is passed on with another end: \(response.framing)")
            try promise(again?.status == response.status, "is passed on with another status")
        }
    }

    private static let control = FuzzTarget(name: "gateway-control") { bytes throws(FuzzFinding) in
        guard let json = try? JSON(parsing: bytes) else { return }
        guard let request = try? ControlRequest(JSONCursor(json)) else { return }
        _ = request.descriptors
    }
}

/// What is made of a message: where its head ends, and its body with what follows it.
private struct Message: Equatable {
    private(set) var head: ByteBuffer?
    private(set) var body = ByteBuffer()
    private(set) var trailers: ByteBuffer?
    private(set) var isComplete = false
    private(set) var fault: HTTPFault?

    init(
        _ bytes: [UInt8], in pieces: [ArraySlice<UInt8>],
        framing: (ByteBuffer) throws(HTTPFault) -> HTTPFraming
    ) {
        var input = ByteBuffer()
        var scanner = HTTPHeadScanner()
        var decoder: BodyDecoder?
        do throws(HTTPFault) {
            for piece in pieces where !isComplete {
                input.writeBytes(piece)
                if decoder == nil, let length = try scanner.headLength(in: input, limits: .standard),
                    let head = input.readSlice(length: length)
                {
                    self.head = head
                    decoder = BodyDecoder(try framing(head))
                }
                try readBody(&decoder, from: &input)
            }
        } catch {
            // Limits are judged by what has come so far, so that the reason may differ with the pieces; not the refusal.
            self = Message(fault: HTTPFault(0, "refused"))
        }
    }

    private init(fault: HTTPFault) { self.fault = fault }

    private mutating func readBody(_ decoder: inout BodyDecoder?, from input: inout ByteBuffer) throws(HTTPFault) {
        while decoder != nil, !isComplete {
            switch try decoder?.next(from: &input) {
            case .data(let data): body.writeImmutableBuffer(data)
            case .end(let trailers):
                self.trailers = trailers
                isComplete = true
            case .needsMore, nil: return
            }
        }
    }
}

extension HTTPHeadScanner {
    fileprivate static func length(of head: ByteBuffer) throws(HTTPFault) -> Int? {
        var scanner = HTTPHeadScanner()
        var limits = HTTPLimits()
        limits.head *= 4
        limits.startLine += 64
        return try scanner.headLength(in: head, limits: limits)
    }
}
