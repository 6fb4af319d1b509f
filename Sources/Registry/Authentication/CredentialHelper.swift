// environ is a plain C variable, read here and written nowhere.
@preconcurrency internal import Glibc
internal import OCISpec

/// Runs `docker-credential-<name>`, the protocol of docker-credential-helpers: a verb as its argument, the server or a
/// JSON object on standard input, a JSON object on standard output.
struct CredentialHelper {
    let name: String
    let timeout: Duration
    /// Where the program is; nil to look for it along PATH.
    var directory: String?

    /// Why a helper gave no answer.
    struct Failure: Error, Equatable, CustomStringConvertible {
        let description: String
    }

    /// What is stored for a server; nil if nothing is. Like all of these, it blocks until the program has ended.
    func get(_ server: String) throws(Failure) -> Credentials? {
        let (output, status) = try run("get", input: Array("\(server)\n".utf8))
        guard status == 0 else {
            if Self.isAbsence(output) { return nil }
            throw failed("get the login of \(server)", output)
        }
        do throws(JSONError) {
            let answer = JSONCursor(try JSON(parsing: output))
            let user = try answer.required("Username").string()
            let secret = try answer.required("Secret").string()
            if user.isEmpty && secret.isEmpty { return nil }
            return Credentials(
                secret: user == Self.tokenUser ? .identityToken(secret) : .password(user: user, secret),
                source: program)
        } catch {
            throw Failure(description: "\(program) gave an answer that cannot be read: \(error)")
        }
    }

    func store(_ secret: Credentials.Secret, for server: String) throws(Failure) {
        let (user, text) =
            switch secret {
            case .password(let user, let password): (user, password)
            case .identityToken(let token): (Self.tokenUser, token)
            }
        let entry: JSON = ["ServerURL": .string(server), "Username": .string(user), "Secret": .string(text)]
        let (output, status) = try run("store", input: entry.bytes())
        guard status == 0 else { throw failed("store the login of \(server)", output) }
    }

    /// False if there was nothing to erase.
    func erase(_ server: String) throws(Failure) -> Bool {
        let isStored = try get(server) != nil
        let (output, status) = try run("erase", input: Array("\(server)\n".utf8))
        guard status == 0 || Self.isAbsence(output) else { throw failed("erase the login of \(server)", output) }
        return isStored
    }

    /// The servers for which something is stored.
    func list() throws(Failure) -> [String] {
        let (output, status) = try run("list", input: [])
        guard status == 0 else { throw failed("list its logins", output) }
        do throws(JSONError) {
            return try JSONCursor(try JSON(parsing: output)).members().map(\.name)
        } catch {
            throw Failure(description: "\(program) gave an answer that cannot be read: \(error)")
        }
    }

    private static let tokenUser = "<token>"
    private var program: String { "docker-credential-\(name)" }

    /// The text is the protocol's only sign for "nothing stored".
    private static func isAbsence(_ output: [UInt8]) -> Bool {
        output.starts(with: "credentials not found".utf8)
    }

    private func failed(_ what: String, _ output: [UInt8]) -> Failure {
        let line = String(decoding: output.prefix { $0 != 0x0A }.prefix(200), as: UTF8.self)
        return Failure(description: "\(program) could not \(what): \(line.isEmpty ? "no reason given" : line)")
    }

    private func run(_ verb: String, input: [UInt8]) throws(Failure) -> (output: [UInt8], status: Int32) {
        let isName = name.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
                || $0 == 0x2D || $0 == 0x2E || $0 == 0x5F
        }
        guard isName, !name.isEmpty else { throw Failure(description: "\"\(name)\" is no name of a credential helper") }
        // A socket pair is standard input and output at once, and close-on-exec from the start.
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw failure("create a socket pair for", program) }
        defer { close(ends[0]) }
        let spawned = Result { () throws(Failure) in try spawn(verb, descriptor: ends[1]) }
        // The end of the answer shows only when the child alone holds this one.
        close(ends[1])
        let pid = try spawned.get()
        let deadline = ContinuousClock.now + timeout
        let output = exchange(ends[0], input: input, deadline: deadline)
        let status = try end(pid, program, deadline: output == nil ? .now : deadline)
        guard let output, let status else {
            throw Failure(description: "\(program) did not answer properly within \(timeout)")
        }
        return (output, status)
    }

    /// The exit status of a child; past the deadline it is killed, and there is none.
    private func end(
        _ pid: pid_t, _ program: String, deadline: ContinuousClock.Instant
    ) throws(Failure) -> Int32? {
        var status: Int32 = 0
        var isKilled = false
        while true {
            let result = waitpid(pid, &status, isKilled ? 0 : WNOHANG)
            if result == pid { return isKilled ? nil : status }
            if result < 0, errno != EINTR { throw failure("wait for", program) }
            if result == 0, ContinuousClock.now >= deadline {
                // Not yet waited for, so the number still means this process.
                kill(pid, SIGKILL)
                isKilled = true
            } else if result == 0 {
                usleep(2000)
            }
        }
    }

    private func spawn(_ verb: String, descriptor: Int32) throws(Failure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, descriptor, 0)
        posix_spawn_file_actions_adddup2(&actions, descriptor, 1)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        let file = directory.map { "\($0)/\(program)" } ?? program
        var arguments = [strdup(program), strdup(verb), nil]
        defer { arguments.forEach { free($0) } }
        var pid: pid_t = 0
        let result = posix_spawnp(&pid, file, &actions, &attributes, &arguments, environ)
        guard result == 0 else {
            throw Failure(description: "cannot run \(program): \(String(cString: strerror(result)).lowercased())")
        }
        return pid
    }

    /// Writes the question, reads the answer up to its end; nil when the time is up or the answer is too long.
    private func exchange(_ socket: Int32, input: [UInt8], deadline: ContinuousClock.Instant) -> [UInt8]? {
        // The question is far smaller than a socket's buffer, so this never blocks; a helper that has already ended
        // shows by its empty answer.
        _ = send(socket, input, input.count, Int32(MSG_NOSIGNAL))
        shutdown(socket, Int32(SHUT_WR))
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let left = deadline - ContinuousClock.now
            guard left > .zero else { return nil }
            let (seconds, attoseconds) = left.components
            let milliseconds = Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000 + 1)
            var poll = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            let ready = Glibc.poll(&poll, 1, milliseconds)
            if ready < 0 && errno != EINTR { return nil }
            guard ready > 0 else { continue }
            let got = Glibc.read(socket, &buffer, buffer.count)
            // A reset is the end of a program that did not read its input.
            if got == 0 || (got < 0 && errno == ECONNRESET) { return output }
            if got < 0 && errno != EINTR { return nil }
            if got > 0 { output.append(contentsOf: buffer[..<got]) }
            if output.count > 1 << 16 { return nil }
        }
    }

    private func failure(_ action: String, _ program: String) -> Failure {
        Failure(description: "cannot \(action) \(program): \(String(cString: strerror(errno)).lowercased())")
    }
}
