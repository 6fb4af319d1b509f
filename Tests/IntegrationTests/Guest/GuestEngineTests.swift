import Testing

extension Integration {
    /// Other projects' container engines with `mlrun-oci` and limits that the kernel enforces, in a machine whose cgroup v2
    /// hierarchy has every controller.
    @Suite(
        .enabled(if: TestMachine.isGuest, "needs a full cgroup v2: scripts/test runs it in scripts/guest"),
        .enabled(if: TestMachine.canRun, "\(TestMachine.needs)"),
        .enabled(
            if: TestMachine.controllers.isSuperset(of: ["memory", "pids", "cpu"]),
            "needs the memory, pids and cpu controllers"))
    struct GuestEngineTests {
        @Test(
            "Guest: podman's limits are in force in the container, and change with podman update",
            .enabled(if: TestMachine.isInstalled("podman", "conmon"), "needs Debian's podman and conmon"))
        func podman() throws {
            let engine = try EngineScript()
            let outcome = try engine.run(
                """
                podman() {
                    command podman --root "$D/storage" --runroot "$D/runroot" --tmpdir "$D/tmp" --storage-driver vfs \\
                        --events-backend file --cgroup-manager cgroupfs --runtime mlrun-oci "$@"
                }
                options="--network none --cgroup-parent $GROUP"
                podman run --rm $options --memory 64m --memory-swap 64m --pids-limit 20 --cpus 0.5 --rootfs "$ROOTFS" \\
                    sh -c 'cd /sys/fs/cgroup; cat memory.max memory.swap.max pids.max cpu.max'
                podman run --rm $options --memory 32m --memory-swap 32m --rootfs "$ROOTFS" \\
                    sh -c 'dd if=/dev/zero of=/dev/null bs=100M count=1 2>/dev/null; echo survived'; echo "code $?"
                podman run -d $options --name life --rootfs "$ROOTFS" sleep 1000 >/dev/null
                podman pause life >/dev/null; podman inspect -f '{{.State.Status}}' life; podman unpause life >/dev/null
                podman stats --no-stream --format '{{.Name}} {{.PIDs}}' life
                podman rm -f -t 0 life >/dev/null; echo "rm $?"
                """, seconds: 300)
            #expect(
                outcome.lines == [
                    "67108864", "0", "20", "50000 100000", "code 137", "paused", "life 1", "rm 0",
                ], "\(outcome)")
        }

        private static let docker = """
            # What is shipped says where the runtime is; the rest keeps this dockerd apart and needs nothing of the kernel.
            dockerd --config-file "$D/daemon.json" --default-runtime mlrun-oci --data-root "$D/docker" --storage-driver vfs \\
                --exec-root /run/docker-test -H unix:///run/docker-test.sock --pidfile /run/docker-test.pid \\
                --iptables=false --ip6tables=false --bridge=none >"$D/dockerd.log" 2>&1 &
            daemon=$!
            docker() { command docker -H unix:///run/docker-test.sock "$@"; }
            for try in $(seq 300); do docker version >/dev/null 2>&1 && break; sleep 0.2; done
            tar -C "$ROOTFS" -c . | docker import - test/busybox:v1 >/dev/null || tail -n 20 "$D/dockerd.log" >&2
            finish() { kill $daemon; wait $daemon; }

            """

        @Test(
            "Guest: dockerd runs, executes, pauses, updates and tells statistics",
            .enabled(if: TestMachine.isInstalled("dockerd", "docker"), "needs Debian's docker.io"))
        func docker() throws {
            let engine = try EngineScript()
            try engine.shipped("docker/daemon.json", as: "daemon.json")
            let outcome = try engine.run(
                Self.docker + """
                    docker run --rm --network none test/busybox:v1 sh -c 'echo hello from docker; exit 3'; echo "run $?"
                    docker run --rm --network none test/busybox:v1 no-such 2>"$D/errors"; echo "missing $?"
                    docker run -d --network none --memory 64m --memory-swap 64m --name life test/busybox:v1 sleep 1000 >/dev/null
                    docker inspect -f '{{.State.Status}} {{.HostConfig.Runtime}}' life
                    docker exec life echo inside
                    docker exec life sh -c 'exit 9'; echo "exec $?"
                    docker pause life >/dev/null; docker inspect -f '{{.State.Status}}' life; docker unpause life >/dev/null
                    docker update --memory 96m --memory-swap 96m --pids-limit 50 life >/dev/null
                    docker exec life cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max
                    docker stats --no-stream --format '{{.Name}} {{.PIDs}}' life
                    docker top life | awk 'NR == 2 { print $8 }'
                    docker kill life >/dev/null; docker wait life
                    docker rm life >/dev/null; echo "rm $?"
                    finish
                    """, seconds: 400)
            #expect(
                outcome.lines == [
                    "hello from docker", "run 3", "missing 127", "running mlrun-oci", "inside", "exec 9", "paused",
                    "100663296", "50", "life 1", "sleep", "137", "rm 0",
                ], "\(outcome)")
        }

        @Test(
            "Guest: a task of a Swarm service that is killed comes back",
            .enabled(if: TestMachine.isInstalled("dockerd", "docker"), "needs Debian's docker.io"))
        func swarm() throws {
            let engine = try EngineScript()
            try engine.shipped("docker/daemon.json", as: "daemon.json")
            let outcome = try engine.run(
                Self.docker + """
                    docker swarm init --advertise-addr 127.0.0.1 >/dev/null 2>"$D/errors" || cat "$D/errors" >&2
                    docker service create -q --detach --name served --network host --no-resolve-image \\
                        --restart-delay 0s test/busybox:v1 sleep 1000 >/dev/null
                    running() { docker ps -q --filter name=served --filter status=running; }
                    for try in $(seq 300); do first=$(running); [ -n "$first" ] && break; sleep 0.2; done
                    docker inspect -f '{{.HostConfig.Runtime}}' $first
                    docker kill $first >/dev/null
                    for try in $(seq 300); do
                        second=$(running); [ -n "$second" ] && [ "$second" != "$first" ] && break; sleep 0.2
                    done
                    [ -n "$second" ] && [ "$second" != "$first" ] && echo "came back"
                    docker service rm served >/dev/null; docker swarm leave --force >/dev/null
                    finish
                    """, seconds: 400)
            #expect(outcome.lines.last == "came back", "\(outcome)")
            #expect(outcome.lines.count == 2 && ["mlrun-oci", ""].contains(outcome.lines.first ?? "?"), "\(outcome)")
        }
    }
}
