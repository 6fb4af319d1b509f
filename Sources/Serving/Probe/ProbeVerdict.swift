internal import OCISpec

/// What an answer means for the check that was asked.
public enum ProbeVerdict: Sendable, Equatable {
    case pass
    /// Not well yet, or no more.
    case fail(String)
    /// The server is there but does not know this question: for an explicit probe a failure, for a guess the reason
    /// to try the next one.
    case unknownQuestion(String)

    /// Whether the check passed.
    public var isPass: Bool { self == .pass }

    /// Why it is no pass.
    public var text: String? {
        switch self {
        case .pass: nil
        case .fail(let text), .unknownQuestion(let text): text
        }
    }
}

extension ProbeAnswer {
    /// Whether something accepted the connection.
    public var showsOpenPort: Bool {
        switch self {
        case .http, .connected, .notHTTP: true
        case .exec, .refused, .timedOut, .failed: false
        }
    }

    /// Whether a process answered at all, well or not.
    public var showsLife: Bool {
        switch self {
        case .http, .connected, .notHTTP, .exec: true
        case .refused, .timedOut, .failed: false
        }
    }
}

extension ProbeCheck {
    /// What the question is, as an error says it: `GET /health on port 8000`.
    public var question: String {
        switch self {
        case .http(let port, let path, _): "GET \(path) on port \(port)"
        case .tcp(let port): "a connection to port \(port)"
        case .exec(let command): "the command \(command.joined(separator: " "))"
        }
    }

    /// What an answer to this check means.
    public func verdict(of answer: ProbeAnswer) -> ProbeVerdict {
        switch (self, answer) {
        case (_, .refused): .fail("\(question) was refused: nothing listens there")
        case (_, .timedOut): .fail("\(question) had no answer in time")
        case (_, .failed(let text)): .fail("\(question) failed: \(text)")
        case (.tcp, .connected), (.tcp, .http), (.tcp, .notHTTP): .pass
        case (.exec, .exec(let code, let output)): Self.verdict(ofExit: code, output, question)
        case (.http(_, _, let expectation), .http(let status, let body)):
            expectation.verdict(status: status, body: body, question)
        case (.http, .notHTTP), (.http, .connected): .unknownQuestion("\(question) was answered by no HTTP server")
        case (.http, .exec), (.tcp, .exec), (.exec, .http), (.exec, .connected), (.exec, .notHTTP):
            .fail("\(question) got an answer of another kind")
        }
    }

    private static func verdict(ofExit code: Int32, _ output: String, _ question: String) -> ProbeVerdict {
        if code == 0 { return .pass }
        let firstLine = output.split(whereSeparator: \.isNewline).first.map { ": \($0)" } ?? ""
        let text = "\(question) ended with exit code \(code)\(firstLine)"
        return code == 126 || code == 127 ? .unknownQuestion(text) : .fail(text)
    }
}

extension HTTPExpectation {
    func verdict(status: Int, body: [UInt8], _ question: String) -> ProbeVerdict {
        if self == .anyAnswer { return .pass }
        guard (200..<400).contains(status), self != .ok || status == 200 else {
            let text = "\(question) was answered with status \(status)"
            // A server that is loading says 5xx or 429; one that says 4xx or redirects knows no such question.
            return status >= 500 || status == 429 || status == 408 ? .fail(text) : .unknownQuestion(text)
        }
        switch self {
        case .success, .ok, .anyAnswer: return .pass
        case .body(let text):
            return String(decoding: body, as: UTF8.self).contains(text)
                ? .pass : .fail("\(question) was answered without \"\(text)\"")
        case .field(let path, let values):
            return Self.member(path, of: body, question) { member, name in
                values.contains(member.plainText ?? "")
                    ? .pass
                    : .fail("\(question) says \(name) is \(member.plainText ?? "no text"), not \(values.orList)")
            }
        case .fieldOtherThan(let path, let values):
            return Self.member(path, of: body, question) { member, name in
                values.contains(member.plainText ?? "")
                    ? .fail("\(question) says \(name) is \(member.plainText ?? "")") : .pass
            }
        case .nonEmptyArray(let path):
            return Self.member(path, of: body, question) { member, name in
                guard let elements = member.array else { return .unknownQuestion("\(question): \(name) is no list") }
                return elements.isEmpty ? .fail("\(question) says \(name) is empty") : .pass
            }
        }
    }

    private static func member(
        _ path: [String], of body: [UInt8], _ question: String, judge: (JSON, String) -> ProbeVerdict
    ) -> ProbeVerdict {
        guard var value = try? JSON(parsing: body) else {
            return .unknownQuestion("\(question) was answered with no JSON")
        }
        let name = path.joined(separator: ".")
        for key in path {
            let next =
                value[key]
                ?? Int(key).flatMap { index in
                    value.array.flatMap { $0.indices.contains(index) ? $0[index] : nil }
                }
            guard let next else { return .unknownQuestion("\(question) was answered without the member \(name)") }
            value = next
        }
        return judge(value, name)
    }
}

extension JSON {
    /// A scalar as people write it; nil for lists and objects.
    fileprivate var plainText: String? {
        switch self {
        case .string(let text): text
        case .bool(let flag): "\(flag)"
        case .integer(let number): "\(number)"
        case .unsigned(let number): "\(number)"
        case .number(let number): "\(number)"
        case .null: "null"
        case .array, .object: nil
        }
    }
}

extension [String] {
    fileprivate var orList: String { joined(separator: " or ") }
}
