import Glibc
import ImageStore
import LinuxSystem
import OCISpec

/// A real image with one layer that holds busybox, made on the spot.
enum BusyboxImage {
    static let isPossible = access("/usr/bin/busybox", X_OK) == 0 || access("/bin/busybox", X_OK) == 0

    /// Puts the image into the store as `localhost/busybox:test`.
    static func install(in directories: MLRunDirectories, scratch: String) throws -> ImageRecord {
        let script = """
            set -e
            mkdir -p "$0/rootfs/bin" "$0/rootfs/www" "$0/rootfs/etc" "$0/rootfs/tmp" "$0/layout/blobs/sha256"
            cd "$0"
            busybox=/usr/bin/busybox; [ -x $busybox ] || busybox=/bin/busybox
            cp -L $busybox rootfs/bin/busybox
            for name in sh sleep cat echo id kill true false; do ln -sf busybox rootfs/bin/$name; done
            echo hello > rootfs/www/index.html
            printf 'root:x:0:0:root:/:/bin/sh\\nserver:x:1000:1000::/:/bin/sh\\n' > rootfs/etc/passwd
            printf 'root:x:0:\\nserver:x:1000:\\n' > rootfs/etc/group
            tar --numeric-owner --owner=0 --group=0 -C rootfs -cf layer.tar .
            put() { d=$(sha256sum "$1" | cut -d' ' -f1); cp "$1" layout/blobs/sha256/$d; echo $d; }
            architecture=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
            layer=$(put layer.tar)
            printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["/bin/sh"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' $architecture $layer > config
            config=$(put config)
            printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}]}' $config $(stat -c %s config) $layer $(stat -c %s layer.tar) > manifest
            manifest=$(put manifest)
            printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s}]}' $manifest $(stat -c %s manifest) > layout/index.json
            printf '{"imageLayoutVersion":"1.0.0"}' > layout/oci-layout
            """
        try run(["/bin/sh", "-c", script, scratch])
        let store = try ImageStore(directories)
        guard let source = try ImageSource(parsing: "oci:\(scratch)/layout") else {
            throw SystemError("name the image layout", .invalidArgument)
        }
        return try store.importImage(from: source, as: ImageReference(parsing: "localhost/busybox:test")) { _ in }
    }

    private static func run(_ command: [String]) throws(SystemError) {
        let arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        defer { for pointer in arguments { free(pointer) } }
        var pid: pid_t = 0
        let failure = posix_spawn(&pid, command[0], nil, nil, arguments, environ)
        if failure != 0 { throw SystemError("start", path: command[0], Errno(rawValue: failure)) }
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        if status != 0 { throw SystemError("make an image: the script failed", .inputOutput) }
    }
}
