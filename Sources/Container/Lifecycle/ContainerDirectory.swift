internal import CLinux
internal import Glibc
internal import LinuxSystem
public import OCISpec

/// Containers made from bundles, each with a directory of its state: the life cycle of the OCI runtime specification
/// (runtime.md). Several processes may work on one directory; each call finds the facts anew.
public struct ContainerDirectory: Sendable {
    /// Holds one directory a container.
    public let root: String

    public init(root: String) { self.root = root }

    /// Who makes the control groups.
    public typealias CgroupManager = ContainerCgroup.Manager

    func directory(_ id: String) -> String { "\(root)/\(id)" }
    func gate(_ id: String) -> String { "\(directory(id))/exec.fifo" }
    func configuration(_ id: String) -> String { "\(directory(id))/config.json" }
    func execFile(_ id: String) -> String { "\(directory(id))/exec" }
    private func recordFile(_ id: String) -> String { "\(directory(id))/state.json" }

    /// A name becomes part of paths and of cgroups, so its form is narrow (runc's rule).
    static func checkID(_ id: String) throws(ContainerError) {
        let bytes = Array(id.utf8)
        func isWord(_ byte: UInt8) -> Bool {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: [UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "-")].contains(byte)
            }
        }
        guard let first = bytes.first, bytes.count <= 1024, isWord(first),
            bytes.allSatisfy({ isWord($0) || $0 == UInt8(ascii: ".") })
        else { throw .invalidID(id) }
    }

    // MARK: Records

    func write(_ record: ContainerRecord) throws(SystemError) {
        try File.replace(recordFile(record.id), with: record.json.bytes(), durable: false)
    }

    func record(_ id: String) throws(ContainerError) -> ContainerRecord {
        try Self.checkID(id)
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try File.read(recordFile(id), limit: 16 << 20) } catch {
            throw error.errno == .noSuchFile ? .missing(id) : .system(error)
        }
        do throws(JSONError) { return try ContainerRecord(JSONCursor(try JSON(parsing: bytes))) } catch {
            throw .damaged(id, reason: "\(error)")
        }
    }

    /// The configuration that the container was made with, whatever has become of its bundle since.
    func spec(_ id: String) throws(ContainerError) -> RuntimeSpec { try Self.readSpec(configuration(id)) }

    static func readSpec(_ path: String) throws(ContainerError) -> RuntimeSpec {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = try File.read(path, limit: 16 << 20) } catch { throw .system(error) }
        do throws(JSONError) { return try RuntimeSpec(JSONCursor(try JSON(parsing: bytes))).adapted() } catch {
            throw .configuration("\(error)")
        }
    }

    /// The container's first process, unless it has ended.
    func process(_ record: ContainerRecord) throws(ContainerError) -> ContainerProcess? {
        do throws(SystemError) {
            return try ContainerProcess.adopt(pid: record.pid, startTime: record.startTime, living: true)
        } catch { throw .system(error) }
    }

    func status(_ record: ContainerRecord) throws(ContainerError) -> ContainerState.Status {
        try status(record, process: record.pid == 0 ? nil : try process(record))
    }

    /// - Parameter process: what ``process(_:)`` has said of the record just now.
    func status(
        _ record: ContainerRecord, process: ContainerProcess?
    ) throws(ContainerError) -> ContainerState.Status {
        if record.pid == 0 { return .creating }
        if process == nil { return .stopped }
        let waits = try hasNotExecuted(record)
        // One that waits for its start may stand still too.
        do throws(CgroupError) { if try record.cgroup.isPaused() { return .paused } } catch { throw .cgroup(error) }
        return waits ? .created : .running
    }

    /// Whether the container's process is still the runtime's own.
    func hasNotExecuted(_ record: ContainerRecord) throws(ContainerError) -> Bool {
        do throws(SystemError) {
            // The gate stays if whoever let the container go was cut off before removing it.
            guard try File.isThere(gate(record.id)) else { return false }
            return try !ProcessFacts.hasExecuted(record.pid)
        } catch { throw .system(error) }
    }

    func cgroup(_ record: ContainerRecord, to verb: String) throws(ContainerError) -> ContainerCgroup {
        if record.cgroup.isNone { throw .noCgroup(record.id, verb: verb) }
        return record.cgroup
    }

    // MARK: Questions

    /// `state`: what the specification wants to be told of a container.
    public func state(_ id: String) throws(ContainerError) -> ContainerState {
        let record = try record(id)
        return record.state(try status(record))
    }

    /// The ids of all containers, sorted.
    public func list() throws(ContainerError) -> [String] {
        do throws(SystemError) {
            return try File.list(root).filter { name in (try? Self.checkID(name)) != nil }.sorted()
        } catch {
            if error.errno == .noSuchFile { return [] }
            throw .system(error)
        }
    }
}
