import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

extension Integration {
    /// What protects mlrun's own programs and the host from containers without a user namespace.
    @Suite(.enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"))
    struct SealingTests {
        /// Whether a running program lies on a read-only mount, so that it can be overwritten neither now nor when it ends.
        private func isSealed(_ pid: Int32) -> Bool {
            var system = statvfs()
            return statvfs("/proc/\(pid)/exe", &system) == 0 && system.f_flag & UInt(ST_RDONLY) != 0
        }

        @Test("mlrund can be opened for writing by nobody, and finds its gateway all the same")
        func supervisor() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                #expect(isSealed(try #require(host.supervisorPID)))
                #expect(try HTTPRequest(port: try host.port(of: "hello")).send().status == 200)
            }
        }

        @Test("mlrun itself is out of reach of a container whose root is the host's, in run and in exec")
        func foreground() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let running = try host.start(
                    "mlrun",
                    [
                        "run", "--rm", "--quiet", "--userns", "host", image.reference, "sh", "-c",
                        "echo ready; sleep 1000",
                    ])
                #expect(TestMachine.eventually { running.outputSoFar().contains("ready") })
                #expect(isSealed(running.pid))
                running.signal(SIGKILL)
                _ = try running.wait()
                try host.succeed(
                    "start", "--name", "hello", "--userns", "host", "-p", "127.0.0.1:0:8000", image.reference)
                let command = try host.start(
                    "mlrun", ["exec", "hello", "sh", "-c", "echo ready; sleep 1000"])
                #expect(TestMachine.eventually { command.outputSoFar().contains("ready") })
                #expect(isSealed(command.pid))
                command.signal(SIGKILL)
                _ = try command.wait()
            }
        }

        @Test(
            "a container without a user namespace opens the devices every container has, and no disk it makes a node of"
        )
        func devices() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                // 8:0 and 7:0, a disk and a loop device: the filter answers before it matters whether they exist.
                let script = """
                    for node in null zero full random urandom tty; do [ -c /dev/$node ] || echo no $node; done
                    echo x >/dev/null && head -c 1 /dev/zero >/dev/null && echo usual
                    for number in 8 7; do
                        mknod /tmp/b$number b $number 0 2>/tmp/error || { cat /tmp/error; continue; }
                        head -c 1 /tmp/b$number 2>&1
                    done
                    """
                let seen = try host.shell(image.reference, ["--userns", "host", "--cap-add", "MKNOD"], script)
                #expect(seen.lines.first == "usual", "\(seen)")
                let refusals = seen.lines.dropFirst()
                #expect(refusals.count == 2, "\(seen)")
                #expect(refusals.allSatisfy { $0.contains("not permitted") }, "\(seen)")
            }
        }

        @Test("an account file that a container turns into a FIFO holds nothing up")
        func accountFiles() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", image.reference)
                try host.succeed("exec", "hello", "sh", "-c", "rm /etc/passwd; mkfifo /etc/passwd")
                let named = try host.mlrun(["exec", "--user", "server", "hello", "id"], seconds: 20)
                #expect(named.status == 125 && named.errors.contains("passwd"), "\(named)")
            }
        }

        @Test("the next container in the foreground clears away what a killed mlrun left: processes, cgroup, files")
        func sweep() throws {
            let image = try TestImage.shared()
            try TestHost.with { host throws in
                let running = try host.start(
                    "mlrun",
                    ["run", "--rm", "--quiet", image.reference, "sh", "-c", "echo mine >/left; echo ready; sleep 1000"])
                #expect(TestMachine.eventually { running.outputSoFar().contains("ready") })
                let services = "\(host.root)/services"
                let left = try #require(try File.list(services).first { $0.hasPrefix("run-") })
                #expect(File.exists("\(services)/\(left)"))
                running.signal(SIGKILL)
                _ = try running.wait()
                #expect(File.exists("\(services)/\(left)"), "nobody was there to remove it")
                #expect(try host.shell(image.reference, "ls /left").status != 0)
                #expect(!File.exists("\(services)/\(left)"))
                #expect(try File.list("\(host.state)/replicas").isEmpty)
                #expect(host.processes.isEmpty)
            }
        }
    }
}
