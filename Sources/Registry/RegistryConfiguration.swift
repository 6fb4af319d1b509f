/// How a ``RegistryClient`` behaves. The defaults are right for interactive use.
public struct RegistryConfiguration: Sendable {
    /// Registries, as `host` or `host:port`, that may present any certificate or speak plain HTTP. Loopback hosts
    /// need not be listed. Credentials are never sent over plain HTTP, listed or not, except to a loopback host.
    public var insecureRegistries: Set<String>
    /// PEM files with certificate authorities to trust beside the system's.
    public var certificateAuthorityFiles: [String]
    /// Directories with settings for single registries: mirrors, certificates, headers. In each, a registry has a
    /// directory of its name with containerd's `hosts.toml` or with certificates as Docker names them.
    public var hostDirectories: [String]
    /// Where user names and passwords come from.
    public var credentials: CredentialSource
    /// Through which proxies registries are reached.
    public var proxies: ProxySettings
    /// When the rest of a large blob is fetched over several connections.
    public var splitting: RangeSplitting
    /// The longest wait for a TCP connection and its TLS handshake.
    public var connectTimeout: Duration
    /// The longest wait for the head of an answer. Generous, since a caching registry fetches first.
    public var responseTimeout: Duration
    /// The longest silence in the middle of an answer; after it a download is resumed on a new connection.
    public var stallTimeout: Duration
    /// How often and when to try again.
    public var retries: RetryPolicy
    /// The largest manifest or index accepted, in bytes. The distribution specification asks for at least 4 MiB.
    public var manifestLimit: Int
    /// The `User-Agent` of requests.
    public var userAgent: String

    public init(
        insecureRegistries: Set<String> = [], certificateAuthorityFiles: [String] = [],
        hostDirectories: [String] = RegistryConfiguration.standardHostDirectories,
        credentials: CredentialSource = .environment, proxies: ProxySettings = .environment,
        splitting: RangeSplitting = RangeSplitting(), connectTimeout: Duration = .seconds(15),
        responseTimeout: Duration = .seconds(120), stallTimeout: Duration = .seconds(30),
        retries: RetryPolicy = RetryPolicy(), manifestLimit: Int = 4 << 20, userAgent: String = "mlrun"
    ) {
        self.insecureRegistries = insecureRegistries
        self.certificateAuthorityFiles = certificateAuthorityFiles
        self.hostDirectories = hostDirectories
        self.credentials = credentials
        self.proxies = proxies
        self.splitting = splitting
        self.connectTimeout = connectTimeout
        self.responseTimeout = responseTimeout
        self.stallTimeout = stallTimeout
        self.retries = retries
        self.manifestLimit = manifestLimit
        self.userAgent = userAgent
    }

    /// The directories that `MLRUN_CERTS_D` lists, separated by colons, or else those of mlrun, containerd and Docker
    /// below `/etc`.
    public static var standardHostDirectories: [String] { HostDirectories.standard(CredentialFiles.variable) }
}

/// How often a failed request is repeated, and after which pauses.
public struct RetryPolicy: Sendable {
    /// Attempts in all, the first included; at least 1.
    public var attempts: Int
    /// The pause after the first failure; it doubles with each further one.
    public var firstPause: Duration
    /// No pause of our own choice is longer.
    public var longestPause: Duration
    /// A `Retry-After` beyond this is not waited for but reported.
    public var longestRetryAfter: Duration

    public init(
        attempts: Int = 4, firstPause: Duration = .milliseconds(300), longestPause: Duration = .seconds(10),
        longestRetryAfter: Duration = .seconds(60)
    ) {
        self.attempts = max(1, attempts)
        self.firstPause = firstPause
        self.longestPause = longestPause
        self.longestRetryAfter = longestRetryAfter
    }

    /// The pause after `failures` failures in a row: doubling, with jitter so that many clients do not come back
    /// together. What the server asked for is never shortened.
    func pause(after failures: Int, asked: Duration?) -> Duration {
        if let asked { return asked }
        let doubled = firstPause * (1 << min(max(failures - 1, 0), 20))
        return min(doubled, longestPause) * Double.random(in: 0.5...1)
    }

    /// Runs `attempt` until it succeeds, fails for good, or has used up its attempts; the last error names them all.
    func run<Value: Sendable>(
        _ what: String, attempt: () async throws(RegistryError) -> Value
    ) async throws(RegistryError) -> Value {
        var failures: [RegistryError] = []
        while true {
            do throws(RegistryError) {
                return try await attempt()
            } catch {
                failures.append(error)
                if let final = verdict(failures) { throw final.inContext("cannot \(what)") }
                try await sleep(pause(after: failures.count, asked: error.retryAfter), what)
            }
        }
    }

    /// The error to give up with after these failures; nil to try again.
    func verdict(_ failures: [RegistryError]) -> RegistryError? {
        guard let last = failures.last else { return nil }
        let isPatient = last.retryAfter.map { $0 <= longestRetryAfter } ?? true
        if last.isTransient, isPatient, failures.count < attempts { return nil }
        if failures.count == 1 { return last }
        let list = failures.enumerated().map { "(\($0 + 1)) \($1.message)" }.joined(separator: ", ")
        return RegistryError(
            last.kind, "\(failures.count) attempts failed: \(list)", remedy: last.remedy, retryAfter: last.retryAfter)
    }

    func sleep(_ pause: Duration, _ what: String) async throws(RegistryError) {
        do { try await Task.sleep(for: pause) } catch { throw .cancelled(what) }
    }
}
