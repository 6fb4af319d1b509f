internal import Glibc
internal import LinuxSystem
public import OCISpec

/// The devices that this host's vendors describe in files of the Container Device Interface.
///
/// A file that is broken spoils no device of another one: it is told of when a device is asked for that is not found.
public struct CDIRegistry: Sendable {
    /// Where files are looked for; those of a later directory hide devices of the same name of an earlier one.
    public static let standardDirectories = ["/etc/cdi", "/var/run/cdi"]

    /// A file that could be read.
    struct File: Sendable {
        let path: String
        /// Of the directory: higher wins.
        let priority: Int
        let spec: CDISpec
    }

    private let directories: [String]
    private var files: [File] = []
    /// By their path.
    private var broken: [String: String] = [:]
    /// The files that describe a device, by their index.
    private var owners: [CDIName: [Int]] = [:]

    /// Reads every `*.json`, `*.yaml` and `*.yml` of the directories. One that is not there has no devices.
    public init(directories: [String] = standardDirectories) {
        self.directories = directories
        for (priority, directory) in directories.enumerated() {
            let names: [String]
            do throws(SystemError) { names = try LinuxSystem.File.list(directory).sorted() } catch {
                if error.errno != .noSuchFile, error.errno != .notADirectory { broken[directory] = "\(error)" }
                continue
            }
            for name in names where [".json", ".yaml", ".yml"].contains(where: { name.hasSuffix($0) }) {
                load("\(directory)/\(name)", priority)
            }
        }
    }

    private mutating func load(_ path: String, _ priority: Int) {
        do throws(SystemError) {
            let bytes = try LinuxSystem.File.read(path, limit: 16 << 20)
            do throws(JSONError) {
                files.append(File(path: path, priority: priority, spec: try CDISpec(parsing: bytes)))
            } catch {
                broken[path] = "\(error)"
                return
            }
        } catch {
            broken[path] = "\(error)"
            return
        }
        let index = files.count - 1
        for name in files[index].spec.names {
            let present = owners[name] ?? []
            let isHigher = present.first.map { files[$0].priority < priority } ?? false
            owners[name] = isHigher ? [index] : present + [index]
        }
    }

    /// Every device there is, sorted.
    public var names: [CDIName] { owners.keys.sorted { $0.description < $1.description } }

    /// What is wrong with files that could not be used, by their path.
    public var problems: [String: String] { broken }

    /// The edits for these devices, in their order: those that are common to a file's devices once, before its first.
    func edits(for names: [CDIName]) throws(CDIError) -> [(file: String, edits: CDISpec.Edits)] {
        var found: [(file: String, edits: CDISpec.Edits)] = []
        var begun: Set<Int> = []
        var taken: Set<CDIName> = []
        for name in names where taken.insert(name).inserted {
            let owners = owners[name] ?? []
            guard let index = owners.first else { throw unknown(name) }
            guard owners.count == 1 else {
                throw CDIError(
                    "the CDI device \(name) is described by several files: \(owners.map { files[$0].path }.joined(separator: ", "))",
                    remedy: "keep one of them")
            }
            let file = files[index]
            if begun.insert(index).inserted { found.append((file.path, file.spec.containerEdits)) }
            if let device = file.spec.devices.first(where: { $0.name == name.device }) {
                found.append((file.path, device.containerEdits))
            }
        }
        return found
    }

    private func unknown(_ name: CDIName) -> CDIError {
        if !broken.isEmpty {
            let all = broken.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: "; ")
            return CDIError(
                "no CDI device \(name) is known, and these files could not be used: \(all)",
                remedy: "repair them, or have the vendor's program write them anew")
        }
        let related = names.filter { $0.kind == name.kind }.map(\.description)
        let places = directories.joined(separator: " and ")
        if !related.isEmpty {
            return CDIError(
                "no CDI device \(name) is known", remedy: "known are \(related.prefix(20).joined(separator: ", "))")
        }
        return CDIError(
            "no CDI device \(name) is known: no file in \(places) describes devices of \(name.kind)",
            remedy: Self.generator(of: name.kind))
    }

    /// How the files of a vendor are made.
    static func generator(of kind: String) -> String {
        kind.hasPrefix("nvidia.com/")
            ? "write one with: nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"
            : "have the vendor's program write one"
    }
}

extension CDISpec {
    var names: [CDIName] { devices.compactMap { CDIName("\(kind)=\($0.name)") } }
}

/// Why a device of the Container Device Interface cannot be given to a container.
public struct CDIError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What failed and why, in one line.
    public let cause: String
    /// What to do about it, in one line.
    public let remedy: String?

    init(_ cause: String, remedy: String? = nil) {
        self.cause = cause
        self.remedy = remedy
    }

    public var description: String { remedy.map { "\(cause); \($0)" } ?? cause }
}
