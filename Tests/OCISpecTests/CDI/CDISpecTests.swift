import Testing

@testable import OCISpec

@Suite("Files of the Container Device Interface")
struct CDISpecTests {
    /// As nvidia-ctk writes it.
    static let nvidia = """
        ---
        cdiVersion: 0.5.0
        kind: nvidia.com/gpu
        devices:
            - name: "0"
              containerEdits:
                deviceNodes:
                    - path: /dev/nvidia0
                      hostPath: /dev/nvidia0
            - name: all
              containerEdits:
                deviceNodes:
                    - path: /dev/nvidia0
        containerEdits:
            env:
                - NVIDIA_VISIBLE_DEVICES=void
            deviceNodes:
                - path: /dev/nvidiactl
                  hostPath: /dev/nvidiactl
            hooks:
                - hookName: createContainer
                  path: /usr/bin/nvidia-cdi-hook
                  args:
                    - nvidia-cdi-hook
                    - create-symlinks
                    - --link
                    - libcuda.so.1::/lib/x86_64-linux-gnu/libcuda.so
                  env:
                    - NVIDIA_CTK_DEBUG=false
            mounts:
                - hostPath: /lib/x86_64-linux-gnu/libcuda.so.999.88.77
                  containerPath: /lib/x86_64-linux-gnu/libcuda.so.999.88.77
                  options:
                    - ro
                    - nosuid
                    - nodev
                    - rbind
                    - rprivate

        """

    @Test("a file of nvidia-ctk is read")
    func nvidiaFile() throws {
        let spec = try CDISpec(parsing: Array(Self.nvidia.utf8))
        #expect(spec.kind == "nvidia.com/gpu")
        #expect(spec.devices.map(\.name) == ["0", "all"])
        #expect(spec.containerEdits.hooks.first?.args.last == "libcuda.so.1::/lib/x86_64-linux-gnu/libcuda.so")
        #expect(spec.containerEdits.mounts.first?.options.count == 5)
    }

    private static func spec(_ version: String, device: String = "{}", common: String = "{}", kind: String = "a.b/c")
        -> String
    {
        #"{"cdiVersion":"\#(version)","kind":"\#(kind)","devices":[{"name":"x","containerEdits":\#(device)}],"containerEdits":\#(common)}"#
    }

    private static let some = #"{"env":["A=b"]}"#

    private func failure(_ text: String) -> String {
        do {
            _ = try CDISpec(parsing: Array(text.utf8))
            return "none"
        } catch {
            return "\(error)"
        }
    }

    @Test(
        "every field asks for the version that brought it",
        arguments: [
            (#"{"mounts":[{"hostPath":"/a","containerPath":"/b","type":"bind"}]}"#, "0.3.0", "0.4.0"),
            (#"{"deviceNodes":[{"path":"/dev/a","hostPath":"/dev/b"}]}"#, "0.4.0", "0.5.0"),
            (#"{"additionalGids":[5]}"#, "0.6.0", "0.7.0"), (#"{"intelRdt":{"closID":"x"}}"#, "0.6.0", "0.7.0"),
            (#"{"netDevices":[{"hostInterfaceName":"e","name":"f"}]}"#, "1.0.0", "1.1.0"),
            (#"{"intelRdt":{"schemata":["L3:0=f"]}}"#, "1.0.0", "1.1.0"),
        ])
    func versions(edits: String, tooLow: String, needed: String) {
        #expect(failure(Self.spec(tooLow, device: edits)).hasPrefix("cdiVersion: "))
        #expect(failure(Self.spec(tooLow, device: edits)).contains("at least version \(needed)"))
        #expect(failure(Self.spec(needed, device: edits)) == "none")
        #expect(failure(Self.spec(tooLow, device: Self.some, common: edits)).contains(needed))
    }

    @Test(
        "what is wrong is said with its place",
        arguments: [
            (spec("2.0.0", device: some), "cdiVersion: \"2.0.0\""), (spec("0.5", device: some), "cdiVersion"),
            (spec("0.5.0", device: "{}"), "devices[0].containerEdits: changes nothing"),
            (spec("0.5.0", device: #"{"envs":[]}"#), "devices[0].containerEdits.envs: is not known"),
            (spec("0.5.0", device: #"{"env":["A"]}"#), "devices[0].containerEdits.env[0]"),
            (spec("0.5.0", device: some, kind: "c"), "kind: "), (spec("0.5.0", device: some, kind: "a/b/c"), "kind: "),
            (spec("0.5.0", device: some, kind: "a.b/c.d"), "a dot in the class"),
            (spec("0.5.0", device: #"{"deviceNodes":[{"path":"dev/a"}]}"#), "deviceNodes[0].path"),
            (spec("0.5.0", device: #"{"deviceNodes":[{"path":"/dev/../etc"}]}"#), "deviceNodes[0].path"),
            (spec("0.5.0", device: #"{"deviceNodes":[{"path":"/dev/a","type":"x"}]}"#), "deviceNodes[0].type"),
            (spec("0.5.0", device: #"{"deviceNodes":[{"path":"/dev/a","major":-1}]}"#), "deviceNodes[0].major"),
            (spec("0.5.0", device: #"{"deviceNodes":[{"path":"/dev/a","permissions":"rx"}]}"#), "permissions"),
            (spec("0.5.0", device: #"{"deviceNodes":[{"path":"/dev/a","fileMode":99999}]}"#), "fileMode"),
            (spec("0.5.0", device: #"{"hooks":[{"hookName":"x","path":"/a"}]}"#), "hooks[0].hookName"),
            (spec("0.5.0", device: #"{"hooks":[{"hookName":"poststop","path":"a"}]}"#), "hooks[0].path"),
            (spec("0.5.0", device: #"{"hooks":[{"hookName":"poststop","path":"/a","timeout":0}]}"#), "timeout"),
            (spec("0.5.0", device: #"{"mounts":[{"hostPath":"","containerPath":"/b"}]}"#), "mounts[0].hostPath"),
            (spec("1.1.0", device: #"{"intelRdt":{"closID":"a/b"}}"#), "closID"),
            (spec("1.1.0", device: #"{"intelRdt":{"enableCMT":true}}"#), "enableMonitoring"),
            (
                spec(
                    "1.1.0",
                    device:
                        #"{"netDevices":[{"hostInterfaceName":"a","name":"b"},{"hostInterfaceName":"c","name":"b"}]}"#),
                "netDevices[1]"
            ),
            (#"{"cdiVersion":"0.5.0","kind":"a/b","devices":[],"x":1}"#, "x: is not known"),
            ("[]", "an object is expected"),
            (#"{"kind":"a/b"}"#, "cdiVersion: is missing"),
        ])
    func broken(text: String, what: String) {
        #expect(failure(text).contains(what), "\(failure(text))")
    }

    @Test("names of devices")
    func names() {
        for good in ["nvidia.com/gpu=0", "nvidia.com/gpu=all", "vendor/class=0:0", "a.b-c_d/e=GPU-1a.2"] {
            #expect(CDIName(good)?.description == good)
        }
        for bad in [
            "/dev/null", "gpu=0", "a/b", "a/b=", "a/b=-x", "0a/b=c", "a/b/c=d", "a/b=c d", "a/b=c=d", "a./b=c", "ä/b=c",
        ] {
            #expect(CDIName(bad) == nil, "\(bad)")
        }
    }
}
