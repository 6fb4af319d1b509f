internal import Glibc
internal import LinuxSystem

/// Reads the files of users and administrators that settings come from.
enum SettingsFile {
    private static let limit = 1 << 20

    /// The content of a file; nil if it is not there.
    static func read(_ path: String, _ kind: RegistryError.Kind = .configuration) throws(RegistryError) -> [UInt8]? {
        do throws(SystemError) {
            return try File.read(path, limit: limit)
        } catch {
            if error.isAbsence { return nil }
            throw RegistryError(error, kind)
        }
    }

    /// The names in a directory, sorted; nil if it is not there.
    static func names(in path: String) throws(RegistryError) -> [String]? {
        do throws(SystemError) {
            return try File.list(path).sorted()
        } catch {
            if error.isAbsence { return nil }
            throw RegistryError(error, .configuration)
        }
    }
}

extension SystemError {
    fileprivate var isAbsence: Bool { errno == .noSuchFile || errno == .notADirectory }
}

extension RegistryError {
    /// A file that could not be read or written.
    init(_ error: SystemError, _ kind: Kind) {
        self.init(
            kind, "\(error)",
            remedy: error.errno == .accessDenied
                ? "run mlrun as a user who may do that, or change the file's permissions" : nil)
    }
}
