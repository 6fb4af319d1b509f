import Glibc
import LinuxSystem
import OCISpec
import Testing

extension Integration {
    /// kill -9 of each of mlrun's processes while requests come in.
    @Suite(.enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"))
    struct CrashTests {
        @Test("killing mlrund loses no request, no replica and no log line; the next one adopts what runs")
        func killSupervisor() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed(
                    "start", "--name", "hello", "-p", "127.0.0.1:0:8000", "-e", "NUMBERED=1", image.reference)
                let port = try host.port(of: "hello")
                let replica = try host.replicaPID(of: "hello")
                let requests = RequestLoop(port: port)
                #expect(requests.waitForAnswers(20))
                // The first was started by mlrun and belongs to nobody; the later ones are this test's own.
                var own: Program?
                for _ in 0..<3 {
                    let supervisor = try #require(host.supervisorPID)
                    #expect(kill(supervisor, SIGKILL) == 0)
                    #expect(TestMachine.eventually { !TestHost.isAlive(supervisor) })
                    #expect(requests.waitForAnswers(20), "the service answers while no mlrund runs: \(requests.tally)")
                    #expect(try host.succeed("exec", "hello", "echo", "there").lines == ["there"])
                    #expect(try host.mlrun(["logs", "--tail", "1", "hello"]).status == 0, "logs need no mlrund")
                    let next = try host.start("mlrund", [])
                    own = next
                    #expect(TestMachine.eventually { host.supervisorPID == next.pid })
                    #expect(try host.waitForStatus("ready", of: "hello"))
                    #expect(try host.replicaPID(of: "hello") == replica, "the same process runs on")
                    #expect(requests.waitForAnswers(20))
                }
                let last = try #require(own)
                let tally = requests.end()
                #expect(tally.refused.isEmpty, "\(tally)")
                #expect(tally.broken.isEmpty, "\(tally)")
                #expect(tally.answers.keys.allSatisfy { $0 == 200 }, "\(tally.answers)")

                try host.succeed("stop", "hello")
                let numbers = try host.succeed("logs", "hello").lines.filter { $0.hasPrefix("line ") }
                    .compactMap { Int($0.dropFirst("line ".count)) }
                #expect(numbers.count > 100)
                #expect(numbers == Array(1...numbers.count), "each line once and in order: \(Self.firstFault(numbers))")
                #expect(try host.inspect("hello")["restarts"]?.int == 0)
                last.signal(SIGTERM)
                #expect(try last.wait().status == 0)
            }
        }

        @Test("a shutdown leaves replicas and gateway to the next mlrund, but no gateway that serves nobody")
        func shutdown() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                let port = try host.port(of: "hello")
                try host.succeed("shutdown")
                #expect(TestMachine.eventually { host.supervisorPID == nil })
                #expect(try HTTPRequest(port: port).send().status == 200, "both go on")
                try host.succeed("stop", "hello")
                try host.succeed("shutdown")
                #expect(TestMachine.eventually { host.supervisorPID == nil && host.gatewayPID == nil })
                #expect(host.processes.isEmpty)
            }
        }

        @Test("ps of services whose mlrund was killed brings a new one, which takes them over")
        func listAfterKill() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                let replica = try host.replicaPID(of: "hello")
                let supervisor = try #require(host.supervisorPID)
                #expect(kill(supervisor, SIGKILL) == 0)
                #expect(TestMachine.eventually { host.supervisorPID == nil })
                #expect(try host.succeed("ps", "--quiet").lines == ["hello"])
                #expect(host.supervisorPID != nil)
                #expect(try host.replicaPID(of: "hello") == replica)
            }
        }

        private static func firstFault(_ numbers: [Int]) -> String {
            guard let index = numbers.indices.first(where: { numbers[$0] != $0 + 1 }) else { return "none" }
            return "line \(index + 1) of \(numbers.count) is \(numbers[index])"
        }

        @Test("killing the gateway refuses no connection: those under way break, all later ones are answered")
        func killGateway() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                let port = try host.port(of: "hello")
                let threads = 2
                let requests = RequestLoop(port: port, threads: threads)
                #expect(requests.waitForAnswers(20))
                let kills = 3
                for _ in 0..<kills {
                    let gateway = try #require(host.gatewayPID)
                    #expect(kill(gateway, SIGKILL) == 0)
                    #expect(TestMachine.eventually { !TestHost.isAlive(gateway) })
                    #expect(requests.waitForAnswers(20), "\(requests.tally)")
                    #expect(TestMachine.eventually { host.gatewayPID.map { $0 != gateway } ?? false })
                }
                let tally = requests.end()
                #expect(tally.refused.isEmpty, "\(tally)")
                // At the moment of a kill each thread has at most one request that the gateway holds.
                #expect(tally.broken.count <= kills * threads, "\(tally)")
                #expect(tally.answers.keys.allSatisfy { $0 == 200 }, "\(tally.answers)")
                #expect(try host.inspect("hello")["restarts"]?.int == 0, "the replica has seen nothing of it")
            }
        }

        @Test("a killed replica is found, reported with its cause and started again, and requests wait for it")
        func killReplica() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                let port = try host.port(of: "hello")
                let threads = 2
                let requests = RequestLoop(port: port, threads: threads)
                #expect(requests.waitForAnswers(20))
                let first = try host.replicaPID(of: "hello")
                #expect(kill(first, SIGKILL) == 0)
                #expect(requests.waitForAnswers(20), "\(requests.tally)")
                #expect(try host.waitForStatus("ready", of: "hello"))
                let tally = requests.end()
                #expect(tally.refused.isEmpty, "\(tally)")
                let failed = tally.broken.count + tally.answers.filter { $0.key != 200 }.values.reduce(0, +)
                #expect(failed <= threads, "only what it was working on when it died: \(tally)")

                #expect(try host.replicaPID(of: "hello") != first)
                let details = try host.inspect("hello")
                #expect(details["restarts"]?.int == 1, "\(details.text())")
                #expect(details["lastDeath"]?.string?.contains("SIGKILL") == true, "\(details.text())")
                let events = try host.succeed("events", "--no-follow", "--since", "10m", "hello").output
                #expect(events.contains("SIGKILL"), "\(events)")
            }
        }

        @Test("a service that ends at once is not started for ever, and the start says why")
        func crashAtStart() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let failed = try host.mlrun(
                    [
                        "start", "--name", "broken", "--restart", "no", image.reference, "sh", "-c",
                        "echo no model here; exit 3",
                    ])
                #expect(failed.status != 0)
                #expect(failed.errors.contains("exit code 3") && failed.errors.contains("no model here"), "\(failed)")
                #expect(try host.waitForStatus("failed", of: "broken"))
                #expect(host.processes.isEmpty)
                try host.succeed("rm", "broken")
            }
        }
    }
}

extension TestHost {
    /// Waits until a service is in a state; mlrund may be starting meanwhile.
    func waitForStatus(_ status: String, of service: String, within seconds: Int = 30) throws -> Bool {
        try TestMachine.eventually(within: seconds) {
            let outcome = try mlrun(["inspect", "--type", "service", service])
            guard outcome.status == 0 else { return false }
            return (try JSON(parsing: Array(outcome.output.utf8))).array?.first?["status"]?.string == status
        }
    }
}
