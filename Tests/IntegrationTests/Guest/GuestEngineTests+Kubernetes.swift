import OCISpec
import Testing

extension Integration.GuestEngineTests {
    /// Starts containerd with nothing but the file that is shipped, a network for pods, and the image that is its sandboxes'
    /// by default. A pod asks for the handler of the RuntimeClass that is shipped.
    private static let containerd =
        EngineScript.groupOfItsOwn + #"""
            mkdir -p /opt/cni /etc/cni/net.d
            [ -e /opt/cni/bin ] || ln -s /usr/lib/cni /opt/cni/bin
            mount -t tmpfs tmpfs /etc/cni/net.d
            cat >/etc/cni/net.d/pods.conflist <<'END'
            {"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "cni-test", "isGateway": true,
             "ipam": {"type": "host-local", "dataDir": "/run/cni-test", "ranges": [[{"subnet": "10.88.77.0/24"}]]}}]}
            END
            containerd -c "$D/config.toml" --root "$D/root" --state /run/containerd-test --address /run/containerd-test.sock \
                >"$D/containerd.log" 2>&1 &
            daemon=$!
            cri() { "$REPOSITORY/scripts/cri" /run/containerd-test.sock "$@"; }
            ctr() { command ctr -a /run/containerd-test.sock -n k8s.io "$@"; }
            for try in $(seq 100); do cri Version >/dev/null 2>&1 && break; sleep 0.2; done
            image=registry.k8s.io/pause:3.6
            tar -C "$LAYOUT" -cf "$D/image.tar" . && ctr image import --base-name registry.k8s.io/pause "$D/image.tar" >/dev/null
            ctr image tag registry.k8s.io/pause:v1 $image >/dev/null || tail -n 20 "$D/containerd.log" >&2
            handler=$(sed -n 's/^handler: //p' "$D/runtimeclass.yaml")

            """#

    private static let facts = """
        echo $(id -u) $(id -G); echo $(cat /sys/fs/cgroup/cpu.weight /sys/fs/cgroup/memory.high /proc/self/oom_score_adj)
        echo $(grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status); echo $(cat /proc/1/comm)
        touch /x 2>/dev/null || echo root refused; echo version $(cat /proc/version)
        echo 1 2>/dev/null >/proc/sys/kernel/domainname || echo sysctl refused
        """

    @Test(
        "Guest: containerd's CRI plugin leads a pod of a RuntimeClass: sandbox, container, exec, logs, limits, memory kill, security",
        .enabled(
            if: TestMachine.isInstalled("containerd", "ctr", "curl", "/usr/bin/python3", "/usr/lib/cni/bridge"),
            "needs Debian's containerd, curl, python3 and containernetworking-plugins"))
    func pod() throws {
        let engine = try EngineScript()
        try engine.shipped("containerd/config.toml", as: "config.toml")
        try engine.shipped("kubernetes/runtimeclass.yaml", as: "runtimeclass.yaml")
        let image = try TestImage(configuration: ["Cmd": ["/bin/sleep", "100000"]])
        let outcome = try engine.run(
            Self.containerd + #"""
                pod='{"metadata": {"name": "pod", "uid": "one", "namespace": "default"}, "hostname": "named",
                    "log_directory": "'$D/logs'", "linux": {"cgroup_parent": "'$GROUP'"}}'
                sandbox=$(cri RunPodSandbox '{"runtime_handler": "'$handler'", "config": '"$pod"'}' pod_sandbox_id)
                in='{"pod_sandbox_id": "'$sandbox'"}'
                cri PodSandboxStatus "$in" status.state status.runtime_handler
                none='{}'
                # create NAME COMMAND RESOURCES [SECURITY]
                create() {
                    cri CreateContainer '{"pod_sandbox_id": "'$sandbox'", "sandbox_config": '"$pod"', "config": {
                        "metadata": {"name": "'$1'"}, "image": {"image": "'$image'"}, "command": '"$2"',
                        "log_path": "'$1.log'", "linux": {"resources": '"$3"', "security_context": '"${4:-$none}"'}}}' container_id
                }
                ended() {
                    for try in $(seq 100); do
                        [ "$(cri ContainerStatus "$1" status.state)" = EXITED ] && break; sleep 0.2
                    done
                    cri ContainerStatus "$1" status.exit_code status.reason
                }
                serving=$(create serving '["sh", "-c", "hostname; echo wrong >&2; exec httpd -f -p 80 -h /etc"]' \
                    '{"memory_limit_in_bytes": 67108864, "cpu_quota": 50000, "cpu_period": 100000}')
                it='{"container_id": "'$serving'"}'
                cri ContainerStatus "$it" status.state
                cri StartContainer "$it" >/dev/null; cri ContainerStatus "$it" status.state
                led=$("$RUNTIME" --root /run/containerd/runc/k8s.io list -q | sort)
                [ "$led" = "$(printf '%s\n' $sandbox $serving | sort)" ] && echo "led by mlrun-oci"
                limits() { (cd "/sys/fs/cgroup$GROUP/$serving" && echo $(cat memory.max cpu.max)); }
                limits
                curl -sS "http://$(cri PodSandboxStatus "$in" status.network.ip)/passwd" | head -n 1
                cri ExecSync '{"container_id": "'$serving'", "cmd": ["sh", "-c", "hostname; echo wrong >&2; exit 5"]}' \
                    stdout stderr exit_code
                cri UpdateContainerResources '{"container_id": "'$serving'", "linux": {"memory_limit_in_bytes": 100663296}}' >/dev/null
                limits
                [ "$(cri ContainerStats "$it" stats.memory.working_set_bytes.value)" -gt 4096 ] && echo measured
                cut -d' ' -f2- "$D/logs/serving.log"
                cri StopContainer "$it" >/dev/null; cri ContainerStatus "$it" status.state status.exit_code status.reason
                cri RemoveContainer "$it" >/dev/null

                starved=$(create starved '["sh", "-c", "'"$STARVE"'"]' '{"memory_limit_in_bytes": 33554432}')
                it='{"container_id": "'$starved'"}'
                cri StartContainer "$it" >/dev/null
                ended "$it"

                # What a restricted pod security standard asks for, and a process namespace shared in the pod.
                hardened=$(create hardened '["sh", "-c", "'"$FACTS"'"]' \
                    '{"cpu_shares": 512, "oom_score_adj": 700, "unified": {"memory.high": "61440000"}}' \
                    '{"run_as_user": {"value": 5}, "run_as_group": {"value": 6}, "supplemental_groups": [7, 8],
                      "capabilities": {"drop_capabilities": ["ALL"], "add_capabilities": ["NET_BIND_SERVICE"]},
                      "no_new_privs": true, "readonly_rootfs": true, "seccomp": {"profile_type": "RUNTIME_DEFAULT"},
                      "namespace_options": {"pid": "POD"}, "masked_paths": ["/proc/version"], "readonly_paths": ["/proc/sys"]}')
                it='{"container_id": "'$hardened'"}'
                cri StartContainer "$it" >/dev/null
                ended "$it"
                cut -d' ' -f4- "$D/logs/hardened.log"

                missing=$(create missing '["/no/such"]' '{}')
                it='{"container_id": "'$missing'"}'
                cri StartContainer "$it" 2>&1 | grep -o 'exec "/no/such".*'
                ended "$it"
                cri StopPodSandbox "$in" >/dev/null; cri RemovePodSandbox "$in" >/dev/null
                cri ListContainers '{}' containers; cri ListPodSandbox '{}' items

                """# + Self.groupsLeft + "kill $daemon; wait $daemon\n",
            environment: [
                "STARVE": Self.starve, "FACTS": Self.facts.split(separator: "\n").joined(separator: "; "),
                "LAYOUT": image.layout, "REPOSITORY": EngineScript.repository,
            ], seconds: 300)
        #expect(
            outcome.lines == [
                "READY", "mlrun-oci", "CREATED", "RUNNING", "led by mlrun-oci", "67108864 50000 100000",
                "root:x:0:0:root:/root:/bin/sh", "named", "wrong", "5", "100663296 50000 100000", "measured",
                "stdout F named", "stderr F wrong", "EXITED", "137", "Error", "137", "OOMKilled",
                "0", "Completed", "5 6 7 8", "59 61440000 700",
                "CapEff: 0000000000000000 CapBnd: 0000000000000400 NoNewPrivs: 1 Seccomp: 2", "sleep", "root refused",
                "version", "sysctl refused",
                "exec \"/no/such\": no such file or directory: unknown", "128", "StartError", "[]", "[]",
                "groups left: 0",
            ], "\(outcome)")
    }
}
