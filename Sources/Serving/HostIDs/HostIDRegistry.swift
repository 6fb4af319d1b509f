internal import CLinux
internal import LinuxSystem
internal import OCISpec

/// Which ranges of host ids belong to which mlrun of this host, so that two of them never give their containers the same:
/// a file that all share, changed under a lock.
///
/// Ranges are numbered (``HostSnapshot/userRange(_:)``) and handed out in blocks, by root directory, for as long as that
/// is there: files in it belong to those ids.
struct HostIDRegistry: Sendable {
    /// What a block is for. Both uses give ranges out by themselves, so they share none.
    enum Use: String, Sendable {
        case services
        /// `mlrun run`
        case foreground
    }

    static let standardDirectory = "/var/lib/mlrun-ids"
    /// Ranges a block.
    static let blockSize = 16
    /// All ranges within what systemd leaves to containers: 524288 to 1879048191.
    static let ranges = 0..<20_672
    /// With fewer blocks nobody's are kept, since a root directory may only be unmounted.
    private static let mostStale = 256

    private let directory: String
    private let root: String
    private let use: Use
    private let subordinates: SubordinateIDs

    init(
        _ directories: MLRunDirectories, _ use: Use, directory: String = standardDirectory,
        subordinates: SubordinateIDs = .ofHost()
    ) {
        root = directories.root
        self.use = use
        self.directory = directory
        self.subordinates = subordinates
    }

    /// The ranges that are this mlrun's by now, lowest first.
    func owned() throws(ControlError) -> [Int] {
        try change { blocks, owner throws(ControlError) in
            blocks.filter { $0.owner == owner }.map(\.number).sorted().flatMap { usable(in: $0) }
        }
    }

    /// Takes another block for this mlrun: the lowest that nobody has, or the one that holds a certain range.
    ///
    /// - Returns: the ranges of the block.
    func acquire(holding range: Int? = nil) throws(ControlError) -> [Int] {
        try change { blocks, owner throws(ControlError) in
            if blocks.count > Self.mostStale { blocks.removeAll { $0.owner.isGone } }
            let wanted = range.map { [$0 / Self.blockSize] } ?? Array(0..<Self.ranges.count / Self.blockSize)
            for number in wanted where range != nil || !usable(in: number).isEmpty {
                if let known = blocks.firstIndex(where: { $0.number == number }) {
                    guard range != nil, blocks[known].owner.isGone else { continue }
                    blocks.remove(at: known)
                }
                blocks.append(Block(number: number, owner: owner))
                return usable(in: number)
            }
            if let range, let block = blocks.first(where: { $0.number == range / Self.blockSize }) {
                throw ControlError(
                    "the host ids from \(HostSnapshot.userRange(range).hostID) on belong to \(block.owner.root)",
                    remedy: "remove the replica there or here, so that files of one are not the other's")
            }
            let whose =
                subordinates.names
                ? "/etc/subuid and /etc/subgid give \(SubordinateIDs.owner) too few ids"
                : "all ranges of host ids are taken"
            throw ControlError(
                "\(whose) for another container of \(root)",
                remedy: subordinates.names
                    ? "give it more there, 65536 a container" : "see \(file) for who has them, or use --userns host")
        }
    }

    private func usable(in block: Int) -> [Int] {
        (block * Self.blockSize..<(block + 1) * Self.blockSize).filter {
            Self.ranges.contains($0) && subordinates.allows(HostSnapshot.userRange($0))
        }
    }

    // MARK: The file

    private struct Owner: Equatable {
        var root: String
        /// Another one is another directory of the same name.
        var inode: UInt64
        var use: Use

        var isGone: Bool { (try? File.status(root).inode) != inode }
    }

    private struct Block: Equatable {
        var number: Int
        var owner: Owner

        init(number: Int, owner: Owner) {
            self.number = number
            self.owner = owner
        }

        init(_ cursor: JSONCursor) throws(JSONError) {
            number = try cursor.required("block").integer()
            let use = try cursor.required("use")
            guard let known = Use(rawValue: try use.string()) else {
                throw use.failure("must be services or foreground")
            }
            owner = Owner(
                root: try cursor.required("root").string(),
                inode: UInt64(bitPattern: try cursor.required("inode").integer()), use: known)
        }

        var json: JSON {
            [
                "block": .integer(Int64(number)), "root": .string(owner.root),
                "inode": .integer(Int64(bitPattern: owner.inode)), "use": .string(owner.use.rawValue),
            ]
        }
    }

    private var file: String { "\(directory)/blocks.json" }

    /// Runs `body` while nobody else changes the file, and writes what it has changed.
    private func change<Result>(
        _ body: (inout [Block], Owner) throws(ControlError) -> Result
    ) throws(ControlError) -> Result {
        let owner: Owner
        do throws(SystemError) {
            try File.makeDirectories(root, mode: 0o700)
            try File.makeDirectories(directory, mode: 0o755)
            owner = Owner(root: root, inode: try File.status(root).inode, use: use)
        } catch {
            throw unwritable(error)
        }
        let lock: FileLock
        do throws(SystemError) { lock = try FileLock("\(directory)/lock", exclusive: true) } catch {
            throw unwritable(error)
        }
        let known = try read()
        var blocks = known
        let result = try body(&blocks, owner)
        if blocks != known { try write(blocks) }
        withExtendedLifetime(lock) {}
        return result
    }

    private func unwritable(_ error: SystemError) -> ControlError {
        ControlError(
            "the host ids of containers cannot be recorded: \(error)",
            remedy: "\(directory) must be writable: it keeps several mlruns of a host apart")
    }

    private func read() throws(ControlError) -> [Block] {
        let bytes: [UInt8]
        do throws(SystemError) { bytes = File.exists(file) ? try File.read(file) : [] } catch {
            throw unwritable(error)
        }
        if bytes.isEmpty { return [] }
        do throws(JSONError) { return try JSONCursor(JSON(parsing: bytes)).list("blocks", Block.init) } catch {
            throw ControlError(
                "\(file) is damaged: \(error)",
                remedy: "correct it, or remove it when no container of any mlrun is left")
        }
    }

    private func write(_ blocks: [Block]) throws(ControlError) {
        let json: JSON = ["blocks": .array(blocks.sorted { $0.number < $1.number }.map(\.json))]
        do throws(SystemError) {
            try File.replace(file, with: json.bytes(pretty: true), mode: 0o644, durable: true)
        } catch {
            throw unwritable(error)
        }
    }
}
