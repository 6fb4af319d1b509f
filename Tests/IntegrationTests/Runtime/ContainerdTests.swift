import Testing

extension Integration {
    /// containerd of the system and its `ctr`, with `mlrun-oci` as the shim's runtime.
    @Suite(
        .enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"),
        .enabled(
            if: TestMachine.isInstalled("containerd", "ctr", "skopeo", "script"), "needs Debian's containerd and skopeo"
        ))
    struct ContainerdTests {
        @Test("containerd leads a container through its life: run, exec, ps, pause, resume, kill, delete")
        func life() throws {
            let engine = try EngineScript()
            let image = try TestImage.shared()
            try image.copy(to: "oci-archive:\(engine.directory.path)/image.tar:test.invalid/busybox:v1")
            let outcome = try engine.run(Self.start + Self.script)
            #expect(
                outcome.lines.filter { !$0.hasPrefix("unpacking") && !$0.contains("resize pty") } == [
                    "hello from ctr", "run 3", "inside", "exec 9", "RUNNING", "processes 1", "PAUSED", "RUNNING",
                    "/dev/pts/0", "STOPPED", "delete 0", "exit with non-zero exit code 143", "left 0",
                ], "\(outcome)")
        }

        private static let start = """
            cat >"$D/containerd.toml" <<END
            version = 2
            root = "$D/root"
            state = "/run/containerd-test"
            disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing"]
            [grpc]
              address = "/run/containerd-test.sock"
            [ttrpc]
              address = "/run/containerd-test.sock.ttrpc"
            END
            containerd -c "$D/containerd.toml" >"$D/containerd.log" 2>&1 &
            daemon=$!
            ctr() { command ctr -a /run/containerd-test.sock "$@"; }
            for try in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
            image=test.invalid/busybox:v1
            options="--snapshotter native --runc-binary $RUNTIME --cpu-shares 0 --cgroup $GROUP/ctr"
            ctr image import --snapshotter native "$D/image.tar" >/dev/null

            """

        private static let script = """
            ctr run --rm $options $image once sh -c 'echo hello from ctr; exit 3'; echo "run $?"
            ctr run -d $options $image life sh -c 'trap "exit 143" TERM; while :; do sleep 0.1; done'
            ctr task exec --exec-id one life echo inside
            ctr task exec --exec-id two life sh -c 'exit 9'; echo "exec $?"
            status() { ctr task ls | awk '$1 == "life" { print $3 }'; }
            status
            echo "processes $(ctr task ps life | awk 'NR == 2' | wc -l)"
            ctr task pause life; status
            ctr task resume life; status
            script -qec "ctr -a /run/containerd-test.sock task exec -t --exec-id three life tty" /dev/null | tr -d '\\r'
            ctr task kill -s TERM life
            for try in $(seq 100); do [ "$(status)" = STOPPED ] && break; sleep 0.1; done
            status
            # It succeeds whatever the task ended with, and warns of that.
            ctr task delete life 2>"$D/warning"; echo "delete $?"
            grep -o "exit with non-zero exit code [0-9]*" "$D/warning" || cat "$D/warning"
            ctr container delete life
            echo "left $(ctr container ls -q | wc -l)"
            kill $daemon
            wait $daemon
            [ -z "${DEBUG:-}" ] || cat "$D/containerd.log" >&2

            """
    }
}
