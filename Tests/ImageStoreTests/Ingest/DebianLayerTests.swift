import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import ImageStore

/// Layers made of packages of this machine, compared with what GNU tar makes of the same archive.
@Suite(
    "layers of Debian packages",
    .enabled(
        if: MountedImage.isPossible && Command.has("tar", "dpkg", "gzip", "zstd", "python3"),
        "needs root, a kernel that mounts EROFS from files, and Debian's tools"))
struct DebianLayerTests {
    private static let packages =
        "tzdata perl-base libc-bin dpkg python3-minimal passwd login"

    /// Everything that packages do not bring by themselves.
    private static let additions = """
        import os, random
        os.makedirs('extra/deep' + '/d' * 60)
        open('extra/capable', 'wb').write(b'x' * 100)
        os.setxattr('extra/capable', 'security.capability', bytes.fromhex('0100000200040000000000000000000000000000'))
        open('extra/noted', 'wb').write(b'y' * 5000)
        os.setxattr('extra/noted', 'user.note', b'hello')
        os.setxattr('extra/noted', 'user.binary', bytes(range(256)))
        os.setxattr('extra', 'user.directory', b'1')
        open('extra/' + 'n' * 255, 'w').write('long name')
        open('extra/umlaut-\\u00e4', 'w').write('x')
        os.symlink('t' * 300, 'extra/longlink')
        for i in range(5): os.link('extra/noted', 'extra/hard%d' % i)
        os.mkfifo('extra/fifo')
        os.chmod('extra/capable', 0o6711)
        os.chown('extra/noted', 70000, 80000)
        os.utime('extra/noted', ns=(0, 1234567890987654321))
        with open('extra/sparse', 'wb') as f:
            f.truncate(9 << 20); f.seek(3 << 20); f.write(b'data'); f.seek((5 << 20) + 5); f.write(b'more')
        r = random.Random(1)
        with open('extra/weights', 'wb') as f:
            for _ in range(5): f.write(r.randbytes(1 << 20))
            f.write(b'\\0' * (4 << 20)); f.write(b'tail')
        """

    /// A staged tree, packed, and unpacked again by tar.
    private struct Staged {
        let directory: String
        var archive: String { "\(directory)/layer.tar" }
        var unpacked: String { "\(directory)/unpacked" }

        init(_ format: String) throws {
            directory = "/var/tmp/mlrun-debian-layer.\(File.randomName())"
            try File.makeDirectories("\(directory)/stage")
            // GNU's own format has no extended attributes.
            let attributes = format == "gnu" ? "" : "--xattrs --xattrs-include='*'"
            try Tool.shell(
                """
                cd \(directory)/stage && dpkg -L \(DebianLayerTests.packages) | sed -E "s#^/(bin|sbin|lib)/#/usr/\\1/#" | sort -u |
                (cd / && tar --no-recursion -cf - -T - 2>/dev/null) | tar -xf - &&
                python3 - <<'END' && cd .. && mkdir unpacked &&
                \(DebianLayerTests.additions)
                END
                tar \(attributes) -S --format=\(format) -cf layer.tar -C stage . &&
                tar --xattrs --xattrs-include='*' -xpf layer.tar -C unpacked
                """)
        }

        func remove() { try? File.removeTree(directory) }
    }

    @Test(
        "are file by file what tar extracts",
        arguments: ["gnu", "posix --sparse-version=1.0", "posix --sparse-version=0.1", "posix --sparse-version=0.0"])
    func compared(format: String) throws {
        let staged = try Staged(format)
        defer { staged.remove() }
        let unpacked = try File.open(staged.unpacked, O_RDONLY | O_DIRECTORY)
        let expected = try FileListing(of: unpacked.rawValue)
        #expect(expected.lines.count > 1000)
        let compression = format == "gnu" ? "zstd" : "gzip"
        try Tool.shell("\(compression) -1 < \(staged.archive) > \(staged.archive).z")
        let test = try TestStore()
        let digest = try Self.ingest(
            "\(staged.archive).z", compression == "gzip" ? MediaType.ociLayerGzip : MediaType.ociLayerZstd, into: test)
        let image = test.store.layerFile(digest)
        try ErofsImageTests.check(image)
        let listing = try MountedImage(image).listing()
        #expect(listing.differences(from: expected) == [])
    }

    @Test("of 20,000 small files are complete")
    func manyFiles() throws {
        var tar = CraftedTar()
        for number in 0..<20_000 {
            tar.add(
                file: "d\(number % 97)/e\(number % 13)/file-\(number)",
                String(repeating: "\(number)", count: number % 900))
        }
        let test = try TestStore()
        let archive = tar.finished()
        let digest = ContentHash.sha256(of: archive)
        let ingest = try test.store.ingestLayer(
            Descriptor(mediaType: MediaType.ociLayer, digest: digest, size: Int64(archive.count)),
            expectedDiffID: digest)
        try archive.withBytes { bytes throws(StoreError) in try ingest.receive(bytes) }
        _ = try ingest.finish()
        try ErofsImageTests.check(test.store.layerFile(digest))
        let listing = try MountedImage(test.store.layerFile(digest)).listing()
        #expect(listing.lines.count == 20_000 + 97 * 13 + 97 + 1)
        for number in stride(from: 0, to: 20_000, by: 371) {
            let content = Array(String(repeating: "\(number)", count: number % 900).utf8)
            let line = listing.lines["./d\(number % 97)/e\(number % 13)/file-\(number)"]
            #expect(line?.hasSuffix("size \(content.count) sha256 \(ErofsImageTests.hash(content))") == true)
        }
    }

    /// Brings a file into the store as a layer; returns its digest.
    private static func ingest(_ path: String, _ mediaType: String, into test: TestStore) throws -> Digest {
        let blob = try File.read(path, limit: 1 << 30)
        let digest = ContentHash.sha256(of: blob)
        let ingest = try test.store.ingestLayer(
            Descriptor(mediaType: mediaType, digest: digest, size: Int64(blob.count)), expectedDiffID: nil)
        try blob.withBytes { bytes throws(StoreError) in
            var rest = bytes[...]
            while !rest.isEmpty {
                try ingest.receive(UnsafeRawBufferPointer(rebasing: rest.prefix(100_000)))
                rest = rest.dropFirst(100_000)
            }
        }
        _ = try ingest.finish()
        return digest
    }
}
