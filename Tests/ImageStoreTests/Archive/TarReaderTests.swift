import CLinux
import Glibc
import LinuxSystem
import Testing

@testable import ImageStore

@Suite("tar archives from descriptors")
struct TarReaderTests {
    private let large = (0..<900_000).map { UInt8(truncatingIfNeeded: $0 >> 3) }

    private var archive: [UInt8] {
        CraftedTar.archive { tar in
            tar.add(file: "first", "one")
            tar.add(CraftedTar.Header("large"), content: large)
            tar.add(file: "last", "three")
        }
    }

    /// A file with this content, open at its start.
    private func file(_ content: [UInt8]) throws -> OwnedDescriptor {
        let file = OwnedDescriptor(taking: try check(mlr_memfd_create("archive", 0), "create a file"))
        try File.writeAll(content, to: file.rawValue)
        lseek(file.rawValue, 0, SEEK_SET)
        return file
    }

    @Test("members that are not read are passed over, and those that are come whole")
    func members() throws {
        let file = try file(archive)
        let reader = TarReader(descriptor: file.rawValue, source: "test")
        #expect(try reader.next()?.name == "first")
        let second = try #require(try reader.next())
        #expect(second.size == 900_000)
        var content = [UInt8](repeating: 0, count: large.count)
        #expect(pread(file.rawValue, &content, content.count, off_t(second.dataOffset)) == content.count)
        #expect(content == large)
        #expect(try reader.next()?.name == "last")
        #expect(try reader.readAll(limit: 5) == Array("three".utf8))
        #expect(try reader.next() == nil)
        #expect(try reader.next() == nil)
    }

    @Test("bytes that were taken before come first, from a pipe as well")
    func prefix() throws {
        let bytes = archive
        let content = large
        let pipe = try DescriptorPair.pipe()
        var failure: (any Error)?
        pipe.split { reading, writing in
            let end = writing.release()
            startThread {
                try? File.writeAll(Array(bytes[1000...]), to: end)
                close(end)
            }
            do {
                let reader = TarReader(descriptor: reading.rawValue, source: "test", prefix: Array(bytes[..<1000]))
                #expect(try reader.next()?.name == "first")
                #expect(try reader.readAll(limit: 3) == Array("one".utf8))
                #expect(try reader.next()?.name == "large")
                #expect(try reader.readAll(limit: 1 << 20) == content)
                #expect(try reader.next()?.name == "last")
                #expect(try reader.next() == nil)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    @Test("a file that ends inside of a member that is passed over is refused")
    func cut() throws {
        let file = try file(Array(archive.prefix(500_000)))
        let reader = TarReader(descriptor: file.rawValue, source: "test")
        _ = try reader.next()
        _ = try reader.next()
        #expect(throws: StoreError.self) { try reader.next() }
    }

    @Test("a member larger than the caller's limit is refused")
    func limit() throws {
        let file = try file(archive)
        let reader = TarReader(descriptor: file.rawValue, source: "test")
        _ = try reader.next()
        #expect(throws: StoreError.self) { try reader.readAll(limit: 2) }
    }
}
