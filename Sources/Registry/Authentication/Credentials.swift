internal import OCISpec

/// What somebody logged in with at one registry.
struct Credentials: Sendable, Equatable {
    enum Secret: Sendable, Equatable {
        case password(user: String, String)
        /// A refresh token that the token server exchanges (`identitytoken`).
        case identityToken(String)
    }

    let secret: Secret
    /// Where they were found, for errors: a file, or a helper program.
    let source: String

    var user: String {
        switch secret {
        case .password(let user, _): "user \"\(user)\""
        case .identityToken: "an identity token"
        }
    }

    /// The value of an `Authorization` header; nil for an identity token.
    var basic: String? {
        guard case .password(let user, let password) = secret else { return nil }
        return "Basic " + Base64.encode(Array("\(user):\(password)".utf8))
    }
}

/// The result of a look-up: credentials or none, and what went wrong on the way.
struct CredentialLookup: Sendable, Equatable {
    var credentials: Credentials?
    /// A broken file or helper does not stop a pull that needs no credentials; it is told if the pull is refused.
    var troubles: [String] = []
    /// Where was looked, for errors.
    var places: [String] = []
}

/// Where credentials come from: the files that `docker login` and `podman login` write, and the helper programs that
/// those files name.
public struct CredentialSource: Sendable {
    /// Docker's configuration (`auths`, `credsStore`, `credHelpers`) or containers-auth.json(5), tried in this order.
    public var files: [String]
    /// The longest a `docker-credential-*` program may take.
    public var helperTimeout: Duration

    public init(files: [String], helperTimeout: Duration = .seconds(30)) {
        self.files = files
        self.helperTimeout = helperTimeout
    }

    /// `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, then `$REGISTRY_AUTH_FILE` or the auth.json of
    /// podman: in `$XDG_RUNTIME_DIR/containers` or `/run/containers/UID`, then in `~/.config/containers`.
    public static var environment: CredentialSource {
        CredentialSource(files: CredentialFiles.standard(CredentialFiles.variable))
    }

    /// Everything is asked for without a user name.
    public static let none = CredentialSource(files: [])
}
