internal import Glibc
internal import LinuxSystem
public import Trust

extension VerificationKey {
    /// Reads a PEM file.
    ///
    /// - Throws: ``MLRunError`` that names the file.
    public init(file path: String) throws(MLRunError) {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try File.read(path, limit: 1 << 20) } catch { throw MLRunError(error) }
        do throws(TrustError) { try self.init(pem: bytes, name: path) } catch { throw MLRunError(error) }
    }
}

extension TrustPolicy {
    /// Where a policy is looked for when `MLRUN_POLICY` names none.
    public static let standardPath = "/etc/mlrun/policy.json"

    /// Reads a policy; the names of key files in it are relative to its folder.
    ///
    /// - Parameter path: nil for the file in `MLRUN_POLICY`, or else the standard one, which need not exist: without it
    ///   everything is accepted.
    /// - Throws: ``MLRunError`` for a policy that cannot be read or understood: nothing is trusted by mistake.
    public init(file path: String? = nil) throws(MLRunError) {
        let named = path ?? getenv("MLRUN_POLICY").map { String(cString: $0) }
        let file = named ?? Self.standardPath
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try File.read(file, limit: 1 << 20) } catch {
            if named == nil, error.errno == .noSuchFile {
                self = .acceptAll
                return
            }
            throw MLRunError(error, remedy: "correct MLRUN_POLICY, or make the policy readable")
        }
        let folder = File.parent(of: file)
        do throws(TrustError) {
            try self.init(parsing: bytes, name: file) { name throws(TrustError) in
                let path = name.hasPrefix("/") ? name : "\(folder)/\(name)"
                do throws(SystemError) { return try File.read(path, limit: 1 << 20) } catch {
                    throw TrustError(
                        "the policy \(file) cannot be used: \(error)",
                        remedy: "put the key there, or correct the policy; until then no image is brought in")
                }
            }
        } catch {
            throw MLRunError(error)
        }
    }
}

extension MLRunError {
    /// An image, key or policy that is not trusted.
    public init(_ error: TrustError) {
        self.init(.untrusted, error.message, remedy: error.remedy, underlying: error)
    }
}
