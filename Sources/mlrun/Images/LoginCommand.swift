import ArgumentParser
internal import Glibc
internal import MLRun
internal import Registry

struct LoginCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "login", abstract: "Log in to a registry.",
        discussion: """
            The registry is asked whether it accepts the login before anything is stored. It is kept where Docker and \
            podman find it too: with the credential helper that `credsStore` or `credHelpers` of \
            $DOCKER_CONFIG/config.json (default ~/.docker/config.json) names, or else in that file itself.
            """)

    @Option(name: [.short, .customLong("username")], help: "The account. Asked for on the terminal by default.")
    var username: String?

    @Flag(help: "Read the password from standard input, for scripts.")
    var passwordStdin = false

    @Argument(help: "host or host:port of the registry. (default: docker.io)")
    var registry = "docker.io"

    func run() async throws {
        let host = try LoginHost(registry)
        let (user, password) = try credentials(for: host)
        let client = RegistryClient()
        let verified: VerifiedLogin
        do {
            verified = try await client.verify(Login(host: host, user: user, password: password))
            await client.shutdown()
        } catch {
            await client.shutdown()
            throw error
        }
        switch try await LoginStore().store(verified) {
        case .helper: break
        case .file(let path):
            Output.error(
                "WARNING! The \(verified.isToken ? "token" : "password") is stored unencrypted in \(path).\n"
                    + "  a credential helper avoids that: install docker-credential-pass or another and name it there "
                    + "as credsStore")
        }
        Output.line("Login Succeeded")
    }

    private func credentials(for host: LoginHost) throws -> (user: String, password: String) {
        if passwordStdin {
            guard let username, !username.isEmpty else {
                throw CommandFailure("--password-stdin needs --username", remedy: "add -u USER")
            }
            guard let password = StandardInput.readSecret() else {
                throw CommandFailure(
                    "standard input holds no password", remedy: "send it there: mlrun login --password-stdin < FILE")
            }
            return (username, password)
        }
        guard let terminal = PasswordPrompt() else {
            throw CommandFailure(
                "the password cannot be asked for: standard input is no terminal", remedy: "use --password-stdin")
        }
        let user = try username ?? terminal.ask("Username (\(host)): ")
        guard !user.isEmpty else { throw CommandFailure("the user name is empty") }
        let password = try terminal.ask("Password: ", isHidden: true)
        guard !password.isEmpty else { throw CommandFailure("the password is empty") }
        return (user, password)
    }
}

struct LogoutCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logout", abstract: "Log out from a registry.",
        discussion: """
            Removes its login from wherever mlrun finds one: credential helpers, Docker's config.json and podman's \
            auth.json.
            """)

    @Flag(name: [.short, .long], help: "Log out from every registry.")
    var all = false

    @Argument(help: "host or host:port of the registry. (default: docker.io)")
    var registry: String?

    func validate() throws {
        if all, registry != nil { throw ValidationError("--all and a registry exclude each other") }
    }

    func run() async throws {
        let name = all ? nil : try LoginHost(registry ?? "docker.io").description
        let places = try await LoginStore().remove(name)
        let what = name ?? "any registry"
        guard !places.isEmpty else { return Output.line("Not logged in to \(what)") }
        let list = places.map(\.description).joined(separator: ", ")
        Output.line("Removing login credentials for \(name ?? "all registries") (\(list))")
    }
}
