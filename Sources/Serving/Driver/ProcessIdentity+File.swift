internal import CLinux
internal import LinuxSystem
internal import OCISpec

extension ProcessIdentity {
    init(_ cursor: JSONCursor) throws(JSONError) {
        self.init(
            pid: try cursor.required("pid").integer(), startTime: try cursor.required("startTime").integer())
    }

    var json: JSON { ["pid": .integer(Int64(pid)), "startTime": .integer(Int64(startTime))] }

    /// What ``write(to:)`` has written; nil without the file or when it is not understood.
    init?(file path: String) {
        guard let bytes = try? File.read(path), let json = try? JSON(parsing: bytes),
            let identity = try? ProcessIdentity(JSONCursor(json))
        else { return nil }
        self = identity
    }

    func write(to path: String) throws(SystemError) {
        try File.replace(path, with: json.bytes(), durable: false)
    }

    /// A pidfd of the process; nil when it is gone.
    func open() -> SharedDescriptor? {
        let opened = mlr_pidfd_open(pid)
        guard opened >= 0 else { return nil }
        let pidfd = SharedDescriptor(taking: opened)
        // Looked at once the process is held: only now its number cannot come to mean another one.
        return ProcessTable.startTime(of: pid) == startTime ? pidfd : nil
    }
}
