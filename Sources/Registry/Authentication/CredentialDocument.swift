internal import Glibc
internal import LinuxSystem
internal import OCISpec

/// A config.json or auth.json to be changed: what is not about the one login stays as it is, in its order.
struct CredentialDocument {
    /// Of the file itself, where the name that it was opened by is a symbolic link.
    let path: String
    private var root: JSONObject
    private var isChanged = false

    /// A file that is not there is taken as an empty one.
    init(_ name: String) throws(RegistryError) {
        path = Self.target(of: name)
        guard let content = try SettingsFile.read(path), content.contains(where: { $0 > 0x20 }) else {
            root = JSONObject()
            return
        }
        do throws(JSONError) {
            guard case .object(let object) = try JSON(parsing: content) else {
                throw JSONError(path: "", message: "the document is no object")
            }
            for name in ["auths", "credHelpers"] {
                if let value = object[name], value.object == nil, !value.isNull {
                    throw JSONError(path: name, message: "is no object")
                }
            }
            root = object
        } catch {
            throw RegistryError(
                .configuration, "\(path) cannot be read: \(error)", remedy: "correct the file; nothing was changed")
        }
    }

    var commonHelper: String? { root["credsStore"]?.string.flatMap { $0.isEmpty ? nil : $0 } }

    /// The helper that keeps the login of a host.
    func helper(for host: LoginHost) -> String? {
        let own = root["credHelpers"]?.object?.members.first { CredentialFiles.normal($0.name) == host.name }
        if let name = own?.value.string { return name.isEmpty ? nil : name }
        return commonHelper
    }

    /// Every host that the file has a login of.
    var hosts: [String] { root["auths"]?.object?.members.map(\.name) ?? [] }

    /// Replaces whatever there is for a host, however it is written.
    mutating func setLogin(_ entry: JSONObject, for host: LoginHost) {
        _ = removeLogins(for: host)
        var logins = root["auths"]?.object ?? JSONObject()
        logins[host.helperServer] = .object(entry)
        root["auths"] = .object(logins)
        isChanged = true
    }

    /// False if there was none.
    mutating func removeLogins(for host: LoginHost) -> Bool {
        guard let logins = root["auths"]?.object else { return false }
        let others = logins.members.filter { CredentialFiles.normal($0.name) != host.name }
        guard others.count < logins.count else { return false }
        root["auths"] = .object(JSONObject(others))
        isChanged = true
        return true
    }

    /// Reads the file, has it changed and writes it anew, while no other program of mlrun does the same: of two at once
    /// the later would undo the earlier.
    static func change<Value>(
        _ path: String, _ body: (inout CredentialDocument) throws(RegistryError) -> Value
    ) throws(RegistryError) -> Value {
        let lock = try locked(File.parent(of: target(of: path)))
        defer { withExtendedLifetime(lock) {} }
        var document = try CredentialDocument(path)
        let value = try body(&document)
        try document.save()
        return value
    }

    private static func locked(_ directory: String) throws(RegistryError) -> FileLock {
        do throws(SystemError) {
            try File.makeDirectories(directory, mode: 0o700)
            return try FileLock(directory: directory)
        } catch { throw RegistryError(error, .configuration) }
    }

    /// Writes the file anew, readable by its owner only, so that at any moment the old or the new one is there.
    private func save() throws(RegistryError) {
        guard isChanged else { return }
        do throws(SystemError) {
            try File.replace(path, with: JSON.object(root).bytes(pretty: true) + [0x0A], mode: 0o600)
        } catch {
            throw RegistryError(error, .configuration)
        }
    }

    /// Where a chain of symbolic links ends; renaming over the link itself would cut it off from its target.
    private static func target(of path: String) -> String {
        var path = path
        for _ in 0..<16 {
            guard let link = try? File.readLink(path) else { return path }
            path = link.hasPrefix("/") ? link : "\(File.parent(of: path))/\(link)"
        }
        return path
    }
}
