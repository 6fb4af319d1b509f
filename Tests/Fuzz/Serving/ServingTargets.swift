import OCISpec

@testable import Serving

extension FuzzTarget {
    static let serving = [control, log, environmentFile, probeAnswer]

    /// Lines that come to mlrund's socket.
    private static let control = FuzzTarget(name: "control") { bytes throws(FuzzFinding) in
        var whole = LineBuffer()
        whole.append(bytes)
        var inPieces = LineBuffer()
        var lines: [[UInt8]] = []
        for piece in bytes.pieces {
            inPieces.append(piece)
            while let line = inPieces.next() { lines.append(line) }
        }
        for line in lines {
            try promise(whole.next() == line, "the lines depend on the pieces they come in")
            guard let json = try? JSON(parsing: line), let request = try? ControlRequest(JSONCursor(json)) else {
                continue
            }
            if case .start(let settings, _, _) = request { _ = settings.problems() }
            let again = try? ControlRequest(JSONCursor(request.json))
            try promise(again != nil, "cannot be read once written: \(request.json.text())")
        }
        try promise(whole.next() == nil && whole.count == inPieces.count, "a line is lost")
    }

    private static let log = FuzzTarget(name: "log") { bytes throws(FuzzFinding) in
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            guard let record = LogRecord(line: line) else { continue }
            var written: [UInt8] = []
            record.append(to: &written)
            try promise(written.last == UInt8(ascii: "\n"), "a record does not end its line")
            try promise(
                LogRecord(line: written.dropLast()) == record, "reads differently once written: \(written.text)")
        }
        var end = 0
        for piece in bytes.withUnsafeBytes({ LineSplitter.pieces(of: $0, atEnd: true) }) {
            try promise(piece.range.lowerBound == end && piece.end >= piece.range.upperBound, "output is lost")
            end = piece.end
        }
        try promise(end == bytes.count, "the end of the output is lost")
    }

    private static let environmentFile = FuzzTarget(name: "env-file") { bytes throws(FuzzFinding) in
        let variables = try? EnvironmentText.file(bytes.text, path: "file") { $0 == "HOME" ? "/root" : nil }
        for variable in variables ?? [] {
            try promise(variable.dropFirst().contains("="), "\"\(variable)\" has no name or no value")
            try promise(!variable.utf8.contains(0), "\"\(variable)\" would be cut off")
        }
    }

    /// What a container answers to a probe over HTTP.
    private static let probeAnswer = FuzzTarget(name: "probe-answer") { bytes throws(FuzzFinding) in
        let atEnd = HTTPAnswer(bytes, atEnd: true).answer
        if let early = HTTPAnswer(bytes, atEnd: false).answer {
            try promise(atEnd == early, "a complete answer changes at the end of the connection")
        }
    }
}
