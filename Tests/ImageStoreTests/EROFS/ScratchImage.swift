import Glibc
import LinuxSystem

@testable import ImageStore

/// A directory for one image, removed when the value goes.
final class ScratchImage {
    let directory: String
    var path: String { "\(directory)/image.erofs" }

    init() throws {
        directory = "/tmp/mlrun-image-test.\(File.randomName())"
        try File.makeDirectories(directory)
    }

    deinit { try? File.removeTree(directory) }

    /// Builds the image of an archive; returns why it was refused.
    func build(
        _ archive: [UInt8], pieces: Int = 1 << 20, limits: ArchiveLimits = ArchiveLimits(), sparseLimit: Int64 = .max
    ) throws -> StoreError? {
        try File.removeIfPresent(path)
        let file = try ImageFile(creating: path)
        do throws(StoreError) {
            let builder = try LayerBuilder(source: "test", file: file, limits: limits, sparseLimit: sparseLimit)
            var start = 0
            while start < archive.count {
                let end = start + min(pieces, archive.count - start)
                try Array(archive[start..<end]).withBytes { bytes throws(StoreError) in try builder.consume(bytes) }
                start = end
            }
            try builder.finish(identifier: Array(0..<16))
            return nil
        } catch {
            return error
        }
    }
}
