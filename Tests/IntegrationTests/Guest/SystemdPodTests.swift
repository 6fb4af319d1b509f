import OCISpec
import Testing

extension Integration {
    /// Kubernetes has systemd keep the groups of its pods on most hosts: containerd with `SystemdCgroup = true`, under a real
    /// systemd.
    @Suite(
        .enabled(
            if: TestMachine.variable("MLRUN_TEST_SYSTEMD") == "1",
            "needs a systemd of its own: scripts/test runs it in a guest"),
        .enabled(if: TestMachine.canRun, "\(TestMachine.needs)"),
        .enabled(
            if: TestMachine.isInstalled("containerd", "ctr", "curl", "/usr/bin/python3"),
            "needs Debian's containerd, curl and python3"))
    struct SystemdPodTests {
        private static let script = #"""
            sed -i 's/SystemdCgroup = false/SystemdCgroup = true/' "$D/config.toml"
            containerd -c "$D/config.toml" --root "$D/root" --state /run/containerd-test --address /run/containerd-test.sock \
                >"$D/containerd.log" 2>&1 &
            daemon=$!
            cri() { "$REPOSITORY/scripts/cri" /run/containerd-test.sock "$@"; }
            ctr() { command ctr -a /run/containerd-test.sock -n k8s.io "$@"; }
            for try in $(seq 100); do cri Version >/dev/null 2>&1 && break; sleep 0.2; done
            image=registry.k8s.io/pause:3.6
            tar -C "$LAYOUT" -cf "$D/image.tar" . && ctr image import --base-name registry.k8s.io/pause "$D/image.tar" >/dev/null
            ctr image tag registry.k8s.io/pause:v1 $image >/dev/null || tail -n 20 "$D/containerd.log" >&2

            pod='{"metadata": {"name": "pod", "uid": "one", "namespace": "default"}, "log_directory": "'$D/logs'",
                "linux": {"cgroup_parent": "/mlrt.slice/mlrt-pods.slice",
                          "security_context": {"namespace_options": {"network": "NODE"}}}}'
            sandbox=$(cri RunPodSandbox '{"runtime_handler": "mlrun-oci", "config": '"$pod"'}' pod_sandbox_id)
            serving=$(cri CreateContainer '{"pod_sandbox_id": "'$sandbox'", "sandbox_config": '"$pod"', "config": {
                "metadata": {"name": "serving"}, "image": {"image": "'$image'"}, "command": ["sleep", "100000"],
                "log_path": "serving.log", "linux": {"resources":
                    {"memory_limit_in_bytes": 67108864, "cpu_quota": 50000, "cpu_period": 100000}}}}' container_id)
            it='{"container_id": "'$serving'"}'
            cri StartContainer "$it" >/dev/null; cri ContainerStatus "$it" status.state
            scope=cri-containerd-$serving.scope
            group=$(systemctl show -p ControlGroup --value "$scope")
            echo "${group%"$serving.scope"}"
            limits() { (cd "/sys/fs/cgroup$group" && echo $(cat memory.max cpu.max) $(systemctl show -p MemoryMax --value "$scope")); }
            run() { cri ExecSync '{"container_id": "'$serving'", "cmd": ["sh", "-c", "'"$1"'"]}' stdout exit_code; }
            limits
            run 'head -c 3 /dev/zero | wc -c; mknod /dev/loop b 7 0 && head -c 1 /dev/loop'
            cri UpdateContainerResources '{"container_id": "'$serving'", "linux": {"memory_limit_in_bytes": 100663296}}' >/dev/null
            limits
            # What NVIDIA's users lose their devices by.
            systemctl daemon-reload
            limits
            run 'head -c 3 /dev/zero | wc -c; head -c 1 /dev/loop'
            cri StopPodSandbox '{"pod_sandbox_id": "'$sandbox'"}' >/dev/null
            cri RemovePodSandbox '{"pod_sandbox_id": "'$sandbox'"}' >/dev/null
            cri ListContainers '{}' containers; cri ListPodSandbox '{}' items
            systemctl is-active "$scope" "cri-containerd-$sandbox.scope"
            [ -d "/sys/fs/cgroup$group" ] || echo gone
            kill $daemon; wait $daemon

            """#

        @Test("a pod whose groups systemd keeps has its limits and devices also after daemon-reload and update")
        func pod() throws {
            let engine = try EngineScript()
            try engine.shipped("containerd/config.toml", as: "config.toml")
            let image = try TestImage(configuration: ["Cmd": ["/bin/sleep", "100000"]])
            let outcome = try engine.run(
                Self.script, environment: ["LAYOUT": image.layout, "REPOSITORY": EngineScript.repository],
                besideSystemd: true, seconds: 240)
            #expect(
                outcome.lines == [
                    "RUNNING", "/mlrt.slice/mlrt-pods.slice/cri-containerd-", "67108864 50000 100000 67108864", "3",
                    "1",
                    "100663296 50000 100000 100663296", "100663296 50000 100000 100663296", "3", "1", "[]", "[]",
                    "inactive", "inactive", "gone",
                ], "\(outcome)")
        }
    }
}
