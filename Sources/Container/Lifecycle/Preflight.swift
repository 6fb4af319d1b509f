internal import CLinux
internal import Glibc
internal import LinuxSystem
public import OCISpec

/// What a bundle, or containers in general, need of this host, each with whether it is there.
public struct Preflight: Sendable, Equatable {
    /// One need.
    public struct Item: Sendable, Equatable {
        /// How the need is met.
        public enum State: String, Sendable {
            case present
            /// Something works less well, or not all containers work.
            case limited
            /// The container cannot be made.
            case missing
        }

        /// A kernel feature, controller, capability, file system, LSM, or place in `config.json`.
        public var need: String
        /// How it is met.
        public var state: State
        /// What follows, or why.
        public var detail: String

        public init(_ need: String, _ state: State, _ detail: String = "") {
            self.need = need
            self.state = state
            self.detail = detail
        }

        var json: JSON {
            ["need": .string(need), "state": .string(state.rawValue), "detail": .string(detail)]
        }
    }

    /// The bundle that was looked at; nil for the host alone.
    public var bundle: String?
    /// Missing ones first.
    public var items: [Item]

    /// Whether nothing is missing.
    public var isReady: Bool { !items.contains { $0.state == .missing } }

    /// The report as one document.
    public var json: JSON {
        var object = JSONObject()
        object.set("bundle", bundle)
        object["ready"] = .bool(isReady)
        object["items"] = .array(items.map(\.json))
        return .object(object)
    }

    /// The report for people, one item a line.
    public var lines: [String] {
        let mark: [Item.State: String] = [.present: "ok      ", .limited: "limited ", .missing: "MISSING "]
        let subject = bundle.map { "the bundle \($0)" } ?? "containers"
        return items.map { item in
            "\(mark[item.state] ?? "")\(item.need)\(item.detail.isEmpty ? "" : ": \(item.detail)")"
        } + [
            isReady
                ? "this host has what \(subject) need\(bundle == nil ? "" : "s")"
                : "this host lacks what is marked MISSING"
        ]
    }

    /// Looks at the host, and at a bundle where one is named. Nothing is changed.
    public static func report(
        bundle: String?, cgroups: ContainerDirectory.CgroupManager, criu: String
    ) throws(ContainerError) -> Preflight {
        let host: HostFacts
        do throws(SystemError) { host = try HostFacts.discover() } catch { throw .system(error) }
        var items: [Item]
        if let bundle {
            let spec = try ContainerDirectory.readSpec("\(bundle)/config.json")
            items = BundleNeeds(spec: spec, bundle: bundle, host: host, cgroups: cgroups).items()
        } else {
            items = HostNeeds(host: host).items(criu: criu)
        }
        let order: [Item.State] = [.missing, .limited, .present]
        items = order.flatMap { state in items.filter { $0.state == state } }
        return Preflight(bundle: bundle, items: items)
    }
}
