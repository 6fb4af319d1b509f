import Glibc
import LinuxSystem
import Testing

extension Integration {
    /// The unit that `packaging/` ships, under a real systemd: it keeps mlrund, and mlrund's end touches no replica.
    @Suite(
        .enabled(
            if: TestMachine.variable("MLRUN_TEST_SYSTEMD") == "1",
            "needs a systemd of its own: scripts/test runs it in a guest"),
        .enabled(if: TestMachine.canRun, "\(TestMachine.needs)"))
    struct SystemdUnitTests {
        @Test("systemd brings a killed mlrund back, and restarts and stops it, while the replica answers as before")
        func unit() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try install(host)
                defer { try? systemctl("stop", "mlrund.service") }
                try systemctl("start", "mlrund.service")
                #expect(TestMachine.eventually { host.supervisorPID == mainPID })
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                let replica = try host.replicaPID(of: "hello")
                let port = try host.port(of: "hello")
                let first = try #require(host.supervisorPID)
                #expect(mainPID == first, "mlrun start found the supervisor that systemd keeps")

                kill(first, SIGKILL)
                #expect(TestMachine.eventually { host.supervisorPID.map { $0 != first && $0 == mainPID } ?? false })
                #expect(try host.replicaPID(of: "hello") == replica)
                #expect(try HTTPRequest(port: port).send().status == 200)

                let second = mainPID
                try systemctl("restart", "mlrund.service")
                #expect(TestMachine.eventually { host.supervisorPID.map { $0 != second && $0 == mainPID } ?? false })
                #expect(try host.replicaPID(of: "hello") == replica)

                try systemctl("stop", "mlrund.service")
                #expect(host.supervisorPID == nil)
                #expect(try HTTPRequest(port: port).send().status == 200, "the gateway and the replica need no mlrund")
                #expect(TestHost.isAlive(replica))
                try systemctl("start", "mlrund.service")
                #expect(TestMachine.eventually { host.supervisorPID != nil })
                try host.succeed("rm", "--force", "hello")
                #expect(!TestHost.isAlive(replica))
            }
        }

        private func install(_ host: TestHost) throws {
            let source = #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
            let unit = try File.readText("/\(source)/packaging/systemd/mlrund.service")
            let units = "/run/systemd/system"
            try File.makeDirectories("\(units)/mlrund.service.d", mode: 0o755)
            let installed = unit.split(separator: "@BIN@", omittingEmptySubsequences: false)
                .joined(separator: TestMachine.programs ?? "")
            try File.replace("\(units)/mlrund.service", with: Array(installed.utf8), durable: false)
            // This systemd has none of the targets that a whole system's units come after.
            let surroundings = """
                [Unit]
                DefaultDependencies=no
                [Service]
                Environment=MLRUN_ROOT=\(host.root) MLRUN_STATE=\(host.state)
                """
            try File.replace(
                "\(units)/mlrund.service.d/test.conf", with: Array("\(surroundings)\n".utf8), durable: false)
            try systemctl("daemon-reload")
        }

        private func systemctl(_ arguments: String...) throws {
            let outcome = try Program(["systemctl"] + arguments).wait(seconds: 60)
            guard outcome.status == 0 else {
                throw TestFailure("systemctl \(arguments.joined(separator: " ")): \(outcome)")
            }
        }

        private var mainPID: Int32? {
            let outcome = try? Program(["systemctl", "show", "-p", "MainPID", "--value", "mlrund.service"])
                .wait(seconds: 60)
            return (outcome?.lines.first).flatMap { Int32($0) }
        }
    }
}
