import Crypto
import Glibc
import LinuxSystem
import OCISpec

/// An image made in memory: its manifest, and every blob by digest.
struct TestImage: Sendable {
    let manifest: Descriptor
    let layers: [Descriptor]
    private(set) var blobs: [String: [UInt8]] = [:]

    /// One uncompressed layer for each text, in a file of that layer.
    init(layers texts: [String], command: String = "/bin/true") {
        var blobs: [String: [UInt8]] = [:]
        func add(_ bytes: [UInt8], _ type: String) -> Descriptor {
            let digest = Self.digest(bytes)
            blobs[digest.description] = bytes
            return Descriptor(mediaType: type, digest: digest, size: Int64(bytes.count))
        }
        layers = texts.enumerated().map { add(Self.archive("file\($0)", $1), MediaType.ociLayer) }
        let configuration: JSON = [
            "architecture": .string(Platform.host.architecture), "os": "linux", "config": ["Cmd": [.string(command)]],
            "rootfs": ["type": "layers", "diff_ids": .array(layers.map { .string($0.digest.description) })],
        ]
        let document = ImageManifest(config: add(configuration.bytes(), MediaType.ociConfig), layers: layers)
        manifest = add(document.json.bytes(), MediaType.ociManifest)
        self.blobs = blobs
    }

    /// The same image with another content under a layer's digest.
    func damaged(layer index: Int) -> TestImage {
        var image = self
        let name = layers[index].digest.description
        image.blobs[name]?[0] ^= 1
        return image
    }

    /// Writes the image as an OCI layout.
    func write(to path: String, tag: String = "v1") throws {
        try File.makeDirectories("\(path)/blobs/sha256")
        for (digest, bytes) in blobs {
            try File.replace("\(path)/blobs/sha256/\(digest.dropFirst("sha256:".count))", with: bytes, durable: false)
        }
        var entry = manifest
        entry.annotations["org.opencontainers.image.ref.name"] = tag
        try File.replace("\(path)/index.json", with: ImageIndex(manifests: [entry]).json.bytes())
        try File.replace("\(path)/oci-layout", with: Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
    }

    static func digest(_ bytes: [UInt8]) -> OCISpec.Digest { OCISpec.Digest(sha256: SHA256.hash(data: bytes)) }

    /// A ustar archive with one file.
    private static func archive(_ name: String, _ text: String) -> [UInt8] {
        let content = Array(text.utf8)
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            header.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
        }
        func octal(_ number: Int, _ width: Int) -> String {
            let digits = String(number, radix: 8)
            return String(repeating: "0", count: width - digits.count) + digits
        }
        put(name, at: 0)
        for (offset, value, width) in [
            (100, 0o644, 7), (108, 0, 7), (116, 0, 7), (124, content.count, 11), (136, 1, 11),
        ] {
            put(octal(value, width), at: offset)
        }
        put("        0", at: 148)
        put("ustar\u{0}00", at: 257)
        put(octal(header.reduce(0) { $0 + Int($1) }, 6) + "\u{0} ", at: 148)
        return header + content + [UInt8](repeating: 0, count: (512 - content.count % 512) % 512 + 1024)
    }
}
