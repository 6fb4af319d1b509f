internal import NIOPosix
internal import OCISpec

/// Looks credentials up where a ``CredentialSource`` says.
struct CredentialStore: Sendable {
    let source: CredentialSource

    /// The first credentials found. Files that are not there are passed over; whatever is broken is noted.
    func lookUp(_ repository: RegistryRepository) async -> CredentialLookup {
        var lookup = CredentialLookup(places: source.files)
        for path in source.files {
            let entry: CredentialFiles.Entry
            do throws(RegistryError) {
                guard let content = try SettingsFile.read(path, .unauthorized) else { continue }
                do throws(JSONError) {
                    entry = try CredentialFiles.entry(in: content, path: path, for: repository)
                } catch {
                    lookup.troubles.append("\(path): \(error)")
                    continue
                }
            } catch {
                lookup.troubles.append(error.message)
                continue
            }
            if let credentials = entry.credentials {
                lookup.credentials = credentials
                return lookup
            }
            guard let (name, server) = entry.helper else { continue }
            do throws(CredentialHelper.Failure) {
                if let credentials = try await run(CredentialHelper(name: name, timeout: source.helperTimeout), server)
                {
                    lookup.credentials = credentials
                    return lookup
                }
                lookup.places.append("docker-credential-\(name)")
            } catch {
                lookup.troubles.append("\(error) (named by \(path))")
            }
        }
        return lookup
    }

    /// On a thread of its own kind: the helper is waited for, perhaps while somebody types a password.
    private func run(
        _ helper: CredentialHelper, _ server: String
    ) async throws(CredentialHelper.Failure) -> Credentials? {
        do {
            return try await NIOThreadPool.singleton.runIfActive { try helper.get(server) }
        } catch let failure as CredentialHelper.Failure {
            throw failure
        } catch {
            throw CredentialHelper.Failure(description: "docker-credential-\(helper.name) was not run: \(error)")
        }
    }
}
