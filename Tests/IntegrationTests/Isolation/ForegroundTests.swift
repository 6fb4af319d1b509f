import Glibc
import LinuxSystem
import OCISpec
import Testing

extension Integration {
    /// `mlrun run` and `exec` as a shell's children: exit codes, signals, terminals.
    @Suite(.enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"))
    struct ForegroundTests {
        @Test("exit codes are Docker's")
        func exitCodes() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                func status(_ options: [String] = [], _ command: String...) throws -> Int32 {
                    try host.mlrun(["run", "--rm", "--quiet"] + options + [image.reference] + command).status
                }
                #expect(try status([], "true") == 0)
                #expect(try status([], "sh", "-c", "exit 3") == 3)
                #expect(try status([], "no-such-program") == 127)
                #expect(try status([], "/srv/not-executable") == 126)
                #expect(try status(["--security-opt", "nonsense"], "true") == 125)
                #expect(try status([], "sh", "-c", "sh -c 'kill -TERM $$'; exit $?") == 143)
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                func inService(_ command: String...) throws -> Int32 {
                    try host.mlrun(["exec", "hello"] + command).status
                }
                #expect(try inService("sh", "-c", "exit 3") == 3)
                #expect(try inService("no-such-program") == 127)
                #expect(try inService("/srv/not-executable") == 126)
                #expect(try inService("sh", "-c", "kill -KILL $$") == 137)
                #expect(try host.mlrun(["exec", "nobody", "true"]).status == 1)
            }
        }

        @Test("an error is one line of cause and one of remedy, on standard error")
        func errors() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let missing = try host.mlrun(["run", "--rm", "--quiet", image.reference, "no-such-program"])
                #expect(missing.output.isEmpty)
                #expect(missing.errors.hasPrefix("mlrun: ") && missing.errors.contains("no-such-program"), "\(missing)")
                #expect((1...2).contains(missing.errors.split(separator: "\n").count), "\(missing)")
                let ports = try host.mlrun(["run", "--rm", "-p", "8000:8000:8000", image.reference])
                #expect(ports.status == 125 && ports.errors.split(separator: "\n").count == 2, "\(ports)")
            }
        }

        @Test("standard input, output and error are passed through", arguments: [true, false])
        func streams(interactive: Bool) throws {
            let image = try TestImage.shared()
            let file = try TestDirectory()
            let input = try file.write("input", "from outside\n")
            try TestHost.with { host throws in
                let options = interactive ? ["-i"] : []
                let ran = try host.mlrun(
                    ["run", "--rm", "--quiet"] + options + [image.reference, "sh", "-c", "cat; echo to error >&2"],
                    input: input)
                #expect(ran.output == (interactive ? "from outside\n" : ""), "\(ran)")
                // Hosts without controllers are warned about in lines of mlrun's own.
                let errors = ran.errors.split(separator: "\n").filter { !$0.hasPrefix("mlrun: warning: ") }
                #expect(errors == ["to error"], "\(ran)")
            }
        }

        @Test("what cannot be read as a command line ends with 125, which no command of a container is taken for")
        func misuse() throws {
            try TestHost.with { host throws in
                for arguments in [["run", "--bogus", "image"], ["exec"], ["start"]] {
                    let ended = try host.mlrun(arguments)
                    #expect(ended.status == 125 && ended.errors.contains("Usage: mlrun"), "\(ended)")
                }
            }
        }

        @Test("a signal reaches the container", arguments: [SIGTERM, SIGINT, SIGHUP, SIGUSR1])
        func signals(number: Int32) throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let script = "trap 'echo caught; exit 42' TERM INT HUP USR1; echo ready; while :; do usleep 10000; done"
                let running = try host.start("mlrun", ["run", "--rm", "--quiet", image.reference, "sh", "-c", script])
                #expect(TestMachine.eventually { running.outputSoFar().contains("ready") })
                running.signal(number)
                let ended = try running.wait()
                #expect(ended.status == 42, "\(ended)")
                #expect(ended.lines == ["ready", "caught"])
            }
        }

        @Test("a container in the foreground that is killed from outside ends with 128 + n")
        func killedContainer() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let running = try host.start(
                    "mlrun", ["run", "--rm", "--quiet", image.reference, "sh", "-c", "echo ready; sleep 1000"])
                #expect(TestMachine.eventually { running.outputSoFar().contains("ready") })
                let first = try #require(host.processes.min())
                #expect(kill(first, SIGKILL) == 0)
                #expect(try running.wait().status == 137)
            }
        }

        @Test("a container in the foreground lives no longer than its mlrun")
        func killedForeground() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let running = try host.start(
                    "mlrun", ["run", "--rm", "--quiet", image.reference, "sh", "-c", "echo ready; sleep 1000"])
                #expect(TestMachine.eventually { running.outputSoFar().contains("ready") })
                #expect(!host.processes.isEmpty)
                running.signal(SIGKILL)
                _ = try running.wait()
                #expect(TestMachine.eventually(within: 5) { host.processes.isEmpty }, "\(host.processes)")
            }
        }

        @Test("run -p publishes as long as the container runs, also on IPv6, and nothing is left when mlrun is killed")
        func published() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                func start() throws -> (Program, [Int]) {
                    let running = try host.start(
                        "mlrun", ["run", "--rm", "-p", "127.0.0.1:0:8000", "-p", "[::1]:0:8000", image.reference])
                    // "mlrun: 127.0.0.1:40001 leads to it"
                    var ports: [Int] = []
                    #expect(
                        TestMachine.eventually {
                            ports = running.errorsSoFar().split(separator: "\n").filter { $0.hasSuffix(" leads to it") }
                                .compactMap { Int($0.dropLast(12).split(separator: ":").last ?? "") }
                            return ports.count == 2
                        }, "\(running.errorsSoFar())")
                    return (running, ports)
                }
                func answers(_ address: String, _ port: Int) throws -> Bool {
                    try Program.run(
                        ["curl", "-s", "--fail", "-o", "/dev/null", "http://\(address):\(port)/"], seconds: 30
                    ).status == 0
                }
                let (first, ports) = try start()
                #expect(ports.count == 2)
                guard ports.count == 2 else { return }
                #expect(try TestMachine.eventually { try answers("127.0.0.1", ports[0]) })
                #expect(try answers("[::1]", ports[1]))
                first.signal(SIGTERM)
                #expect(try first.wait().status == 0)
                #expect(try !answers("127.0.0.1", ports[0]))

                let (second, others) = try start()
                guard others.count == 2 else { return }
                #expect(try TestMachine.eventually { try answers("127.0.0.1", others[0]) })
                second.signal(SIGKILL)
                _ = try second.wait()
                #expect(try TestMachine.eventually { try !answers("127.0.0.1", others[0]) })
                let taken = try host.mlrun(
                    [
                        "run", "--rm", "-p", "127.0.0.1:\(others[0]):8000", "-p", "127.0.0.1:\(others[0]):8001",
                        image.reference,
                    ])
                #expect(taken.status == 125 && taken.errors.contains("ports[1]"), "\(taken)")
            }
        }

        @Test("--init passes signals on, takes in orphans and ends as the program does")
        func initProcess() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let script = "(sleep 0.2 &); sleep 1; ps -o pid,stat,comm"
                let seen = try host.shell(image.reference, ["--init"], script)
                #expect(seen.lines.contains { $0.contains("1 ") && $0.hasSuffix("init") }, "\(seen)")
                #expect(!seen.lines.contains { $0.contains(" Z") }, "\(seen)")
                #expect(try host.shell(image.reference, ["--init"], "exit 7").status == 7)
                #expect(try host.shell(image.reference, ["--init"], "kill -KILL $$").status == 137)
                #expect(try host.mlrun(["run", "--rm", "--quiet", "--init", image.reference, "nothing"]).status == 127)
                let trap = "trap 'echo caught; exit 42' TERM; echo ready; while :; do usleep 10000; done"
                let running = try host.start(
                    "mlrun", ["run", "--rm", "--quiet", "--init", image.reference, "sh", "-c", trap])
                #expect(TestMachine.eventually { running.outputSoFar().contains("ready") })
                running.signal(SIGTERM)
                #expect(try running.wait().status == 42)
                try host.succeed("start", "--name", "hello", "--init", "-p", "127.0.0.1:0:8000", image.reference)
                #expect(try host.succeed("exec", "hello", "cat", "/proc/1/comm").lines == ["init"])
            }
        }

        @Test("run -it gives a terminal of the right size, carries keys, and restores nothing it did not change")
        func terminal() throws {
            let image = try TestImage.shared()
            let terminal = try Terminal(rows: 33, columns: 99)
            try TestHost.with { host throws in
                let running = try host.start(
                    "mlrun", ["run", "--rm", "-it", "--quiet", image.reference, "sh"], terminal: terminal.path)
                #expect(terminal.shows("# "), "\(terminal.text)")
                try terminal.type("tty; stty size; echo $TERM\r")
                #expect(terminal.shows("/dev/pts/0") || terminal.shows("/dev/console"), "\(terminal.text)")
                #expect(terminal.shows("33 99"), "\(terminal.text)")
                try terminal.type("sleep 1000\r")
                #expect(terminal.shows("sleep 1000"))
                TestMachine.pause(milliseconds: 300)
                try terminal.type("\u{3}")
                try terminal.type("echo in$((40 + 2))terrupted\r")
                #expect(terminal.shows("in42terrupted"), "control-C ends what runs in the terminal: \(terminal.text)")
                try terminal.type("exit 5\r")
                #expect(try running.wait().status == 5)
            }
        }

        @Test("exec -it gives a terminal, and a terminal where there is none is an error")
        func execTerminal() throws {
            let image = try TestImage.shared()
            let terminal = try Terminal(rows: 30, columns: 70)
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                let running = try host.start("mlrun", ["exec", "-it", "hello", "sh"], terminal: terminal.path)
                #expect(terminal.shows("# "), "\(terminal.text)")
                try terminal.type("stty size; tty\r")
                #expect(terminal.shows("30 70"), "\(terminal.text)")
                #expect(terminal.shows("/dev/"))
                try terminal.type("exit 6\r")
                #expect(try running.wait().status == 6)
                let none = try host.mlrun(["exec", "-it", "hello", "sh"])
                #expect(none.status == 125 && none.errors.contains("terminal"), "\(none)")
            }
        }
    }
}
