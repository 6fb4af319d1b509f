import Glibc
import LinuxSystem
import OCISpec
import Testing

extension Integration {
    /// Servers that take connections and answer nobody, without a probe that anybody asked for.
    @Suite(.enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"))
    struct HungServerTests {
        @Test(
            "a server that hangs under a request is taken out of rotation, then restarted, and later requests are answered"
        )
        func hung() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed(
                    "start", "--name", "hello", "-p", "127.0.0.1:0:8000", "--stop-timeout", "1s", image.reference)
                let port = try host.port(of: "hello")
                #expect(try HTTPRequest(port: port).send().status == 200)
                let first = try host.replicaPID(of: "hello")
                // All of it stands still; the kernel goes on taking connections.
                for pid in host.processes { kill(pid, SIGSTOP) }
                let waiting = try Program(
                    ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:\(port)/"])
                #expect(try host.waitForStatus("unready", of: "hello", within: 60))
                #expect(try host.replicaPID(of: "hello") == first, "unready is no reason to restart yet")
                #expect(try host.waitForStatus("ready", of: "hello", within: 120))
                #expect(try host.replicaPID(of: "hello") != first)
                let details = try host.inspect("hello")
                #expect(details["restarts"]?.int == 1, "\(details.text())")
                #expect(details["lastDeath"]?.string?.contains("no answer") == true, "\(details.text())")
                #expect(try waiting.wait(seconds: 30).output == "502", "what it had is answered for it")
                #expect(try HTTPRequest(port: port).send().status == 200)
            }
        }

        @Test("a server that takes long over one answer and answers others meanwhile is left alone")
        func slow() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                let port = try host.port(of: "hello")
                let first = try host.replicaPID(of: "hello")
                // Beyond the ten seconds of silence after which it is asked, and the ones it would have to answer then.
                let answer = try Program(
                    ["curl", "-s", "-w", "%{http_code}", "http://127.0.0.1:\(port)/cgi-bin/slow?25"]
                ).wait(seconds: 60)
                #expect(answer.output == "slow\n200", "\(answer)")
                #expect(try host.replicaPID(of: "hello") == first)
                let events = try host.succeed("events", "--no-follow", "--since", "10m", "hello").output
                #expect(!events.contains("unready"), "\(events)")
            }
        }

        @Test("once a service is ready, nothing of mlrun wakes while nobody asks it anything")
        func idle() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                #expect(try HTTPRequest(port: try host.port(of: "hello")).send().status == 200)
                let pids = [try #require(host.supervisorPID), try #require(host.gatewayPID)]
                func switches() throws -> Int { try pids.map(Self.voluntarySwitches).reduce(0, +) }
                // What the start and the request have left behind may wake them once more: they give memory back.
                TestMachine.pause(milliseconds: 12_000)
                let before = try switches()
                TestMachine.pause(milliseconds: 5000)
                #expect(try switches() == before)
            }
        }

        private static func voluntarySwitches(_ pid: Int32) throws -> Int {
            try File.list("/proc/\(pid)/task").reduce(0) { sum, thread in
                let lines = try File.readText("/proc/\(pid)/task/\(thread)/status").split(separator: "\n")
                let line = lines.first { $0.hasPrefix("voluntary_ctxt_switches") }
                return sum + (line.flatMap { Int($0.split(separator: "\t").last ?? "") } ?? 0)
            }
        }
    }
}
