import OCISpec
import Testing

extension Integration {
    /// Limits on a host whose cgroup v2 hierarchy lacks the controllers: never a silent no.
    @Suite(
        .enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"),
        .enabled(
            if: !TestMachine.controllers.contains("memory"),
            "this host has the memory controller: the guest suite tests limits"))
    struct LimitTests {
        @Test(
            "a limit that this host cannot set is an error that names the controller and the fix",
            arguments: [["--memory", "64M"], ["--cpus", "0.5"], ["--pids-limit", "10"]], ["run", "start"])
        func strict(limit: [String], verb: String) throws {
            let controller = ["--memory": "memory", "--cpus": "cpu", "--pids-limit": "pids"][limit[0]] ?? ""
            try TestHost.with { host throws in
                let name = verb == "start" ? ["--name", "limited"] : []
                // A registry that nobody could reach: it is not asked, since the limit is refused before any pull.
                let refused = try host.mlrun([verb] + name + limit + ["127.0.0.1:9/nowhere:v1", "true"])
                #expect(refused.status == 125, "\(refused)")
                #expect(refused.errors.contains("\(controller) controller"), "\(refused)")
                #expect(refused.errors.contains("cannot set \(limit[0])"), "\(refused)")
                #expect(refused.errors.contains("--limits=best-effort"))
                #expect(refused.errors.contains("cgroup_no_v1=all"), "the fix is named")
                #expect(host.processes.isEmpty)
            }
        }

        @Test("with --limits=best-effort it goes on with a warning")
        func bestEffort() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let ran = try host.mlrun(
                    [
                        "run", "--rm", "--quiet", "--memory", "64M", "--limits=best-effort", image.reference, "echo",
                        "there",
                    ])
                #expect(ran.status == 0 && ran.lines == ["there"], "\(ran)")
                #expect(ran.errors.contains("warning") && ran.errors.contains("memory controller"), "\(ran)")

                let started = try host.succeed(
                    "start", "--name", "limited", "-p", "127.0.0.1:0:8000", "--memory", "64M", "--limits=best-effort",
                    image.reference)
                #expect(started.errors.contains("memory controller"), "\(started)")
                #expect(try HTTPRequest(port: try host.port(of: "limited")).send().status == 200)
                let warnings = try host.inspect("limited")["instances"]?.array?.first?["warnings"]?.array ?? []
                #expect(warnings.contains { $0.string?.contains("memory") == true })
            }
        }
    }
}
