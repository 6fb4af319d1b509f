import Testing

extension Integration.GuestEngineTests {
    /// Starts dockerd with the file that is shipped, and packet filtering by iptables-legacy, which is what this kernel has;
    /// `$DOCKERD` has further options.
    private static let dockerd =
        EngineScript.groupOfItsOwn + #"""
            mkdir "$D/bin"
            for name in iptables ip6tables; do ln -s /usr/sbin/$name-legacy "$D/bin/$name"; done
            PATH="$D/bin:$PATH" dockerd --config-file "$D/daemon.json" --data-root "$D/docker" --exec-root /run/docker-test \
                -H unix:///run/docker-test.sock --pidfile /run/docker-test.pid --cgroup-parent "$GROUP" $DOCKERD >"$D/dockerd.log" 2>&1 &
            daemon=$!
            docker() { /usr/bin/docker -H unix:///run/docker-test.sock "$@"; }
            for try in $(seq 300); do docker version >/dev/null 2>&1 && break; sleep 0.2; done
            tar -C "$ROOTFS" -c . | docker import - test/busybox:v1 >/dev/null || tail -n 20 "$D/dockerd.log" >&2
            finish() { kill $daemon; wait $daemon; }
            limits() { (cd "/sys/fs/cgroup$GROUP/$1" && echo $(cat memory.max memory.swap.max pids.max cpu.max)); }

            """#

    private static let isInstalled = TestMachine.isInstalled(
        "dockerd", "/usr/bin/docker", "/usr/sbin/iptables-legacy", "curl")

    private func run(_ script: String, options: String = "") throws -> Program.Outcome {
        let engine = try EngineScript()
        try engine.shipped("docker/daemon.json", as: "daemon.json")
        return try engine.run(
            Self.dockerd + script + Self.groupsLeft + "finish\n",
            environment: ["DOCKERD": options, "STARVE": Self.starve], seconds: 400)
    }

    @Test(
        "Guest: dockerd leads a container with real limits through its life, publishes its port, and changes its limits",
        .enabled(if: isInstalled, "needs Debian's docker.io and iptables"))
    func dockerLife() throws {
        let outcome = try run(
            #"""
            docker info -f '{{(index .Runtimes "mlrun-oci").Path}}' | sed "s,^$RUNTIME\$,shipped path,"
            docker run -d --init --runtime mlrun-oci -p 127.0.0.1:18080:80 --memory 64m --memory-swap 64m --pids-limit 30 \
                --cpus 0.5 --name life test/busybox:v1 httpd -f -p 80 -h /etc >"$D/id"
            read -r id <"$D/id"
            [ "$("$RUNTIME" --root /run/docker-test/runtime-runc/moby list -q)" = "$id" ] && echo "led by mlrun-oci"
            docker inspect -f '{{.State.Status}} {{.HostConfig.Runtime}}' life
            limits $id
            curl -sS http://127.0.0.1:18080/passwd
            docker exec life sh -c 'echo inside; exit 9'; echo "exec $?"
            docker exec -t life tty | tr -d '\r'
            docker pause life >/dev/null
            docker inspect -f '{{.State.Status}}' life; cat "/sys/fs/cgroup$GROUP/$id/cgroup.freeze"
            docker unpause life >/dev/null; docker inspect -f '{{.State.Status}}' life
            docker update --memory 96m --memory-swap 96m --pids-limit 50 --cpus 1 life >/dev/null; echo "update $?"
            limits $id
            docker stats --no-stream --format '{{.Name}} {{.MemUsage}} {{.PIDs}}' life | sed 's,life .* / ,life ,'
            docker top life -o pid,args | awk 'NR > 1 { $1 = ""; print }'
            docker stop -t 10 life >/dev/null; docker wait life
            docker start life >/dev/null; limits $id; curl -sS http://127.0.0.1:18080/passwd
            docker kill life >/dev/null; docker wait life
            docker inspect -f '{{.State.OOMKilled}}' life
            docker rm life >/dev/null; echo "rm $?"

            """#)
        #expect(
            outcome.lines == [
                "shipped path", "led by mlrun-oci", "running mlrun-oci", "67108864 0 30 50000 100000",
                "root:x:0:0:root:/:/bin/sh", "inside", "exec 9", "/dev/pts/0", "paused", "1", "running", "update 0",
                "100663296 0 50 100000 100000", "life 96MiB 2", " /sbin/docker-init -- httpd -f -p 80 -h /etc",
                " httpd -f -p 80 -h /etc", "143", "100663296 0 50 100000 100000", "root:x:0:0:root:/:/bin/sh", "137",
                "false", "rm 0", "groups left: 0",
            ], "\(outcome)")
    }

    @Test(
        "Guest: a task of a Swarm service that is killed comes back, and docker tells ends of containers apart",
        .enabled(if: isInstalled, "needs Debian's docker.io and iptables"))
    func swarm() throws {
        let outcome = try run(
            #"""
            docker info -f '{{.DefaultRuntime}} {{.RuncCommit.ID}}' | sed "s/ v$("$RUNTIME" --version | awk 'NR == 1 { print $3 }')\$/ of its version/"
            run() { docker run --network none "$@" 2>>"$D/errors"; echo "code $?"; }
            run --rm test/busybox:v1 no-such
            run --rm test/busybox:v1 /etc
            run --name starved --memory 32m --memory-swap 32m test/busybox:v1 sh -c "$STARVE"
            docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}}' starved; docker rm starved >/dev/null
            mknod -m 666 "$D/loop" b 7 0
            run --rm --read-only --tmpfs /t --cap-drop ALL --security-opt no-new-privileges --user 5:6 --group-add 7 \
                --ulimit nofile=100:200 --hostname named --sysctl net.ipv4.ip_unprivileged_port_start=0 \
                --device "$D/loop:/dev/x:r" -v "$D/bin:/v:ro" -w /t test/busybox:v1 sh -c '
                    echo $(id -u) $(id -G) $(hostname) $PWD $(ulimit -n) $(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)
                    for file in /f /v/f; do touch $file 2>/dev/null || echo "$file refused"; done
                    : </dev/x && echo "read allowed"; echo 2>/dev/null >/dev/x || echo "write refused"
                    grep -E "CapEff|CapBnd|NoNewPrivs|Seccomp:" /proc/self/status | tr "\n\t" "  "; echo'

            docker swarm init --advertise-addr 127.0.0.1 >/dev/null
            docker service create -q --detach --name served --network host --no-resolve-image --limit-memory 64M \
                --limit-pids 30 --stop-signal KILL --restart-delay 0s test/busybox:v1 sleep 1000 >/dev/null
            running() { docker ps -q --no-trunc --filter name=served --filter status=running; }
            for try in $(seq 200); do first=$(running); [ -n "$first" ] && break; sleep 0.2; done
            docker inspect -f '{{.HostConfig.Runtime}}' $first
            limits $first
            docker kill $first >/dev/null
            for try in $(seq 200); do
                second=$(running); [ -n "$second" ] && [ "$second" != "$first" ] && break; sleep 0.2
            done
            [ "$second" != "$first" ] && limits $second
            docker service ps --format '{{.DesiredState}} {{.Error}}' served
            docker service rm served >/dev/null
            for try in $(seq 200); do [ -z "$(docker ps -aq)" ] && break; sleep 0.2; done
            docker swarm leave --force

            """#, options: "--default-runtime mlrun-oci --iptables=false --ip6tables=false --bridge=none")
        #expect(
            outcome.lines == [
                "mlrun-oci of its version", "code 127", "code 126", "code 137", "137 true",
                "5 6 7 named /t 100 0", "/f refused", "/v/f refused", "read allowed", "write refused",
                "CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ", "code 0",
                "mlrun-oci", "67108864 67108864 30 max 100000", "67108864 67108864 30 max 100000", "Running ",
                "Shutdown \"task: non-zero exit (137)\"", "Node left the swarm.", "groups left: 0",
            ], "\(outcome)")
    }
}
