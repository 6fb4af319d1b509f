import Glibc
import LinuxSystem
import OCISpec

/// A shell script that leads another project's container engine, in a mount namespace of its own: an empty /run, a cgroup2 file
/// system at /sys/fs/cgroup as on a host without version 1, and the configuration files that mlrun ships.
///
/// Everything that the script starts ends with it: its processes are in a pid namespace whose first process it is.
struct EngineScript {
    let directory: TestDirectory
    /// The root file system of containers that need no image.
    let rootfs: String
    /// The parent of all control groups of the script, which goes away at its end.
    let group: String
    private let runtime: String

    init() throws {
        guard let programs = TestMachine.programs, let busybox = TestMachine.path(of: "busybox") else {
            throw TestFailure(TestMachine.needs)
        }
        directory = try TestDirectory()
        rootfs = "\(directory.path)/rootfs"
        group = "/mlrt-\(File.randomName().prefix(8))"
        runtime = "\(programs)/mlrun-oci"
        for name in ["bin", "etc", "proc", "sys", "dev", "tmp", "run"] { try File.makeDirectories("\(rootfs)/\(name)") }
        try Program.succeed("cp", busybox, "\(rootfs)/bin/busybox")
        for applet in try Program.succeed(busybox, "--list").split(separator: "\n") where applet != "busybox" {
            guard symlink("busybox", "\(rootfs)/bin/\(applet)") == 0 else {
                throw TestFailure("symlink \(applet): \(errno)")
            }
        }
        try File.replace("\(rootfs)/etc/passwd", with: Array("root:x:0:0:root:/:/bin/sh\n".utf8), mode: 0o644)
        try shipped("podman/50-mlrun-oci.conf", as: "50-mlrun-oci.conf")
    }

    static let repository = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")

    /// A file of `packaging/` as scripts/install would put it, in the test's directory.
    @discardableResult
    func shipped(_ file: String, as name: String) throws -> String {
        let text = try File.readText("\(Self.repository)/packaging/\(file)")
        let pieces = text.split(separator: "@RUNTIME@", omittingEmptySubsequences: false)
        return try directory.write(name, pieces.joined(separator: runtime))
    }

    private static let preparation = """
        set -u
        [ "${SYSTEMD:-}" ] || { mount -t tmpfs -o mode=755 tmpfs /run; mkdir /run/lock; }
        [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
        if [ -d /etc/containers ]; then
            mkdir "$D/etc" "$D/etc-work"
            mount -t overlay -o "lowerdir=/etc/containers,upperdir=$D/etc,workdir=$D/etc-work" overlay /etc/containers
            mkdir -p /etc/containers/containers.conf.d
            cp "$D/50-mlrun-oci.conf" /etc/containers/containers.conf.d/
        fi
        leave() {
            [ -d "/sys/fs/cgroup$GROUP" ] || return 0
            [ ! -d "/sys/fs/cgroup$GROUP/engine" ] || echo $$ >/sys/fs/cgroup/cgroup.procs
            echo 1 2>/dev/null >"/sys/fs/cgroup$GROUP/cgroup.kill" || true
            for try in 1 2 3 4 5 6 7 8 9 10; do
                find "/sys/fs/cgroup$GROUP" -depth -type d -exec rmdir {} + 2>/dev/null && break
                sleep 0.1
            done
        }
        trap leave EXIT

        """

    /// Puts the script and its engine into a group beside those of its containers. An engine in the root of the hierarchy, where
    /// no limits are, takes the kernel for one without limits of swap.
    static let groupOfItsOwn = """
        mkdir -p "/sys/fs/cgroup$GROUP/engine"
        for controller in cpu io memory pids; do echo "+$controller" >"/sys/fs/cgroup$GROUP/cgroup.subtree_control"; done
        echo $$ >"/sys/fs/cgroup$GROUP/engine/cgroup.procs"

        """

    /// A bundle of the root file system, `oci` for the runtime with a state directory of its own, and `edit` to change the
    /// bundle's configuration `c` in Python.
    private static let bundle = """
        mkdir "$D/bundle"; cd "$D/bundle"; ln -s "$ROOTFS" rootfs
        oci() { "$RUNTIME" --root "$D/state" "$@"; }
        oci spec
        edit() { python3 -c 'import json,sys; c=json.load(open("config.json")); exec(sys.argv[1]); json.dump(c, open("config.json","w"))' "$1"; }
        edit "c['process'].update(terminal=False, args=['sleep','1000']); c['root']['path']='$ROOTFS'; c['linux']['cgroupsPath']='$GROUP/one'"

        """

    /// Runs the script in a bundle, whose container would sleep in a group `one`.
    func runWithBundle(_ script: String) throws -> Program.Outcome { try run(Self.bundle + script) }

    /// Runs the script with `D` (the test's directory), `ROOTFS`, `GROUP` and `RUNTIME` set.
    /// - Parameter besideSystemd: whether it sees the machine's /run and processes, which systemd is asked about; then it has to
    ///   end what it starts.
    func run(
        _ script: String, environment: [String: String] = [:], besideSystemd: Bool = false, seconds: Int = 120
    ) throws -> Program.Outcome {
        let file = try directory.write("script", Self.preparation + script)
        let processes = besideSystemd ? [] : ["--pid", "--fork", "--kill-child", "--mount-proc"]
        var variables = environment.merging(
            ["D": directory.path, "ROOTFS": rootfs, "GROUP": group, "RUNTIME": runtime]
        ) { $1 }
        if besideSystemd { variables["SYSTEMD"] = "1" }
        return try Program.run(
            ["unshare", "--mount", "--propagation", "private"] + processes + ["sh", file], environment: variables,
            seconds: seconds)
    }
}
