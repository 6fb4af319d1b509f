import Testing

extension Integration {
    /// Other projects' container engines with `mlrun-oci` as their runtime and limits that the kernel enforces, in a machine
    /// whose cgroup v2 hierarchy has every controller. What is shipped in `packaging/` tells them of the runtime.
    @Suite(
        .enabled(if: TestMachine.isGuest, "needs a full cgroup v2: scripts/test runs it in scripts/guest"),
        .enabled(if: TestMachine.canRun, "\(TestMachine.needs)"),
        .enabled(
            if: TestMachine.controllers.isSuperset(of: ["memory", "pids", "cpu"]),
            "needs the memory, pids and cpu controllers"))
    struct GuestEngineTests {
        /// Ends the memory of a container, but not at once the container: the kernel tells of a change of memory.events at
        /// most once a tick, and an engine that learns of the death first does not look for its cause any more.
        static let starve = "dd if=/dev/zero of=/dev/null bs=100M count=1; code=$?; sleep 1; exit $code"

        /// Groups that are left when all containers are gone.
        static let groupsLeft = #"""
            echo "groups left: $(find "/sys/fs/cgroup$GROUP" -mindepth 1 -type d -not -name engine -not -name conmon | wc -l)"

            """#

        @Test(
            "Guest: podman leads a container with real limits through its life, and changes them",
            .enabled(if: TestMachine.isInstalled("podman", "conmon"), "needs Debian's podman and conmon"))
        func podman() throws {
            let engine = try EngineScript()
            let outcome = try engine.run(
                EngineScript.groupOfItsOwn + #"""
                    podman() {
                        command podman --root "$D/storage" --runroot "$D/runroot" --tmpdir "$D/tmp" --storage-driver vfs \
                            --events-backend file --cgroup-manager cgroupfs --runtime mlrun-oci "$@"
                    }
                    options="--network none --cgroup-parent $GROUP"
                    limits() { podman exec life sh -c 'cd /sys/fs/cgroup; echo $(cat memory.max memory.swap.max pids.max cpu.max)'; }
                    podman run -d $options --name life --memory 64m --memory-swap 64m --pids-limit 20 --cpus 0.5 \
                        --rootfs "$ROOTFS" sh -c 'trap "exit 7" TERM; while :; do sleep 0.1; done' >"$D/id"
                    [ "$("$RUNTIME" list -q)" = "$(cat "$D/id")" ] && echo "led by mlrun-oci"
                    limits
                    podman exec life sh -c 'for number in $(seq 30); do sleep 3 & done' 2>&1 | grep -o "can't fork"
                    podman pause life >/dev/null
                    podman inspect -f '{{.State.Status}}' life; cat "/sys/fs/cgroup$GROUP/libpod-$(cat "$D/id")/cgroup.freeze"
                    podman unpause life >/dev/null; podman inspect -f '{{.State.Status}}' life
                    podman stats --no-stream --no-reset --format '{{.Name}} {{.MemUsage}}' life | sed 's,life .* / ,life ,'
                    podman update --memory 96m --memory-swap 96m --cpus 1 life >/dev/null; echo "update $?"
                    limits
                    podman stop -t 10 life >/dev/null
                    podman inspect -f '{{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}}' life
                    podman rm life >/dev/null; echo "rm $?"
                    podman run --name starved $options --memory 32m --memory-swap 32m --rootfs "$ROOTFS" sh -c "$STARVE"
                    echo "code $?"
                    podman inspect -f '{{.State.ExitCode}}' starved
                    podman rm starved >/dev/null

                    """# + Self.groupsLeft,
                environment: ["STARVE": Self.starve], seconds: 300)
            // That it was the kernel for want of memory, this conmon (2.1.6) writes where this podman (4.3) does not look.
            #expect(
                outcome.lines == [
                    "led by mlrun-oci", "67108864 0 20 50000 100000", "can't fork", "paused", "1", "running",
                    "life 67.11MB", "update 0", "100663296 0 20 100000 100000", "exited 7 false", "rm 0", "code 137",
                    "137", "groups left: 0",
                ], "\(outcome)")
        }
    }
}
