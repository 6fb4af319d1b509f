internal import CLinux
internal import Glibc
internal import LinuxSystem
internal import OCISpec

extension ImageStore {
    /// Writes the files of an image into a directory as a container would see them: layers over each other, whiteouts
    /// applied. Needs neither mounts nor root; what only root can keep is counted in the report.
    ///
    /// - Parameter path: A directory that is empty or does not exist. When something fails it is left as it was.
    public func export(_ image: ImageRecord, to path: String) throws(StoreError) -> ExportReport {
        let pins = try pinLayers(image.layers.map(\.digest))
        defer { withExtendedLifetime(pins) {} }
        var readers: [ErofsReader] = []
        var seen: Set<Digest> = []
        // The upper of two equal layers hides all of the lower.
        for layer in image.layers.reversed() where seen.insert(layer.digest).inserted {
            let file = layerFile(layer.digest)
            do throws(SystemError) {
                let opened = try File.open(file, O_RDONLY)
                readers.append(try erofs(SharedDescriptor(opened), file))
            } catch {
                throw error.errno == .noSuchFile
                    ? .image(.incomplete(image: image.reference, missing: layer.digest)) : .system(error)
            }
        }
        let existed = File.exists(path)
        // Looked at before anything could have to be removed again.
        do throws(SystemError) {
            let names = existed ? try File.list(path) : []
            guard names.isEmpty else { throw SystemError("export to", path: path, .notEmpty) }
        } catch {
            throw error.errno == .notEmpty ? .image(.notEmpty(path: path)) : .system(error)
        }
        do throws(StoreError) {
            var export = TreeExport(readers, DirectorySink(try makeRoot(path), path: path), path: path)
            return try export.run()
        } catch {
            // What is half there would be taken for the image.
            if existed {
                for name in (try? File.list(path)) ?? [] { try? File.removeTree("\(path)/\(name)") }
            } else {
                try? File.removeTree(path)
            }
            throw error
        }
    }

    private func makeRoot(_ path: String) throws(StoreError) -> OwnedDescriptor {
        do throws(SystemError) {
            try File.makeDirectories(path, mode: 0o700)
            return try File.open(path, O_RDONLY | O_DIRECTORY)
        } catch {
            throw .system(error)
        }
    }

    private func erofs(_ file: SharedDescriptor, _ path: String) throws(SystemError) -> ErofsReader {
        do throws(StoreError) { return try ErofsReader(file, path: path) } catch {
            if case .system(let system) = error { throw system }
            throw SystemError("read the layer", path: path, .inputOutput)
        }
    }
}

/// One export at work: walks the directories that lie over each other together, uppermost layer first.
private struct TreeExport: ~Copyable {
    /// A directory of one layer.
    private struct Level {
        let layer: Int
        let directory: ErofsReader.Inode
    }

    private struct LinkedFile: Hashable {
        let layer: Int
        let nid: UInt64
    }

    /// Uppermost first.
    private let layers: [ErofsReader]
    private var sink: DirectorySink
    private let path: String
    /// Files with several names, by the first of them.
    private var linked: [LinkedFile: (path: [UInt8], identity: DirectorySink.FileIdentity)] = [:]

    init(_ layers: [ErofsReader], _ sink: consuming DirectorySink, path: String) {
        self.layers = layers
        self.sink = sink
        self.path = path
    }

    mutating func run() throws(StoreError) -> ExportReport {
        var levels: [Level] = []
        for (index, layer) in layers.enumerated() {
            let root = try layer.inode(layer.root)
            levels.append(Level(layer: index, directory: root))
            if try isOpaque(root, layer) { break }
        }
        try write(levels, to: sink.rootDescriptor, [])
        if let top = levels.first {
            try sink.finish(
                sink.rootDescriptor, DirectorySink.Name([], in: path), top.directory, of: layers[top.layer])
        }
        return sink.report
    }

    private mutating func write(_ levels: [Level], to directory: Int32, _ prefix: [UInt8]) throws(StoreError) {
        if prefix.filter({ $0 == UInt8(ascii: "/") }).count > ArchiveLimits.depth {
            throw .image(.damaged(path: layers[levels[0].layer].path, reason: "its directories are too deep"))
        }
        var tables: [[[UInt8]: UInt64]] = []
        for level in levels {
            var table: [[UInt8]: UInt64] = [:]
            for entry in try layers[level.layer].entries(of: level.directory) { table[entry.name] = entry.nid }
            tables.append(table)
        }
        var seen: Set<[UInt8]> = []
        let shown = prefix.isEmpty ? path : "\(path)/\(PrintableName.make(prefix))"
        for (position, table) in tables.enumerated() {
            for bytes in table.keys.sorted(by: { $0.lexicographicallyPrecedes($1) })
            where seen.insert(bytes).inserted {
                guard let nid = table[bytes] else { continue }
                let layer = levels[position].layer
                let inode = try layers[layer].inode(nid)
                if inode.isWhiteout { continue }
                let name = DirectorySink.Name(bytes, in: shown)
                let whole = prefix.isEmpty ? bytes : prefix + [UInt8(ascii: "/")] + bytes
                if inode.isDirectory {
                    let merged = try merge(bytes, inode, position, tables, levels)
                    let made = try sink.makeDirectory(name, in: directory)
                    try write(merged, to: made.rawValue, whole)
                    try sink.finish(made.rawValue, name, inode, of: layers[layer])
                } else {
                    try make(inode, layer, name, in: directory, whole)
                }
            }
        }
    }

    /// A directory with those of lower layers that it does not hide.
    private func merge(
        _ name: [UInt8], _ top: ErofsReader.Inode, _ position: Int, _ tables: [[[UInt8]: UInt64]], _ levels: [Level]
    ) throws(StoreError) -> [Level] {
        var merged = [Level(layer: levels[position].layer, directory: top)]
        if try isOpaque(top, layers[levels[position].layer]) { return merged }
        for lower in (position + 1)..<max(tables.count, position + 1) {
            guard let nid = tables[lower][name] else { continue }
            let layer = layers[levels[lower].layer]
            let inode = try layer.inode(nid)
            guard inode.isDirectory else { break }
            merged.append(Level(layer: levels[lower].layer, directory: inode))
            if try isOpaque(inode, layer) { break }
        }
        return merged
    }

    private func isOpaque(_ directory: ErofsReader.Inode, _ layer: ErofsReader) throws(StoreError) -> Bool {
        try layer.attributes(of: directory).contains {
            $0.name.elementsEqual("trusted.overlay.opaque".utf8) && $0.value == [UInt8(ascii: "y")]
        }
    }

    private mutating func make(
        _ inode: ErofsReader.Inode, _ layer: Int, _ name: DirectorySink.Name, in directory: Int32, _ whole: [UInt8]
    ) throws(StoreError) {
        let key = LinkedFile(layer: layer, nid: inode.nid)
        if inode.links > 1, let first = linked[key] {
            return try sink.link(name, in: directory, to: first.path, identity: first.identity)
        }
        switch inode.kind {
        case 0o100000: try sink.makeFile(name, in: directory, inode, of: layers[layer])
        case 0o120000: try sink.makeSymbolicLink(name, in: directory, inode, of: layers[layer])
        case 0o010000: try sink.makeFIFO(name, in: directory, inode, of: layers[layer])
        default:
            throw .image(
                .damaged(path: layers[layer].path, reason: "\(name.shown) is a device, which no layer may hold"))
        }
        if inode.links > 1 { linked[key] = (whole, try sink.identity(of: name, in: directory)) }
    }
}
