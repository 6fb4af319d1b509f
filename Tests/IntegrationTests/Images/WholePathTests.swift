import LinuxSystem
import OCISpec
import Testing

extension Integration {
    @Suite(
        .enabled(if: TestMachine.isNative, "\(TestMachine.needs); runs natively"),
        .enabled(if: DebianRegistry.isInstalled, "\(DebianRegistry.needs)"))
    struct WholePathTests {
        @Test("an image goes from skopeo through a registry to a service that answers, and away again")
        func wholePath() throws {
            let image = try TestImage.shared()
            let registry = try DebianRegistry()
            let name = registry.name("team/hello:v1")
            try image.copy(to: "docker://\(name)", "--dest-tls-verify=false")
            try TestHost.with { host throws in
                let pulled = try host.succeed("pull", name)
                #expect(pulled.lines == [name])
                #expect(pulled.errors.contains("verified and unpacked"))
                let again = try host.succeed("pull", name)
                #expect(again.errors.contains("up to date"))
                let listed = try host.json("images", "-o", "json").array ?? []
                #expect(listed.map { $0["reference"]?.string } == [name])
                #expect(listed.first?["id"]?.string?.hasPrefix("sha256:") == true)

                let started = try host.succeed("start", "--name", "hello", "-p", "127.0.0.1:0:8000", "--timing", name)
                #expect(started.lines.first == "hello")
                #expect(!started.leftOutputOpen, "mlrund must not keep the terminal of who started it")
                let port = try host.port(of: "hello")
                #expect(started.output.contains("http://127.0.0.1:\(port)"))
                for phase in ["mount", "isolate", "exec", "ready"] { #expect(started.output.contains(phase)) }
                let answer = try HTTPRequest(port: port).send()
                #expect(answer.status == 200)
                #expect(answer.text == "hello from mlrun\n")

                #expect(try host.succeed("ps", "-q").lines == ["hello"])
                let row = try host.json("ps", "-o", "json").array?.first
                #expect(row?["status"]?.string == "ready")
                let table = try host.succeed("ps").output
                #expect(table.contains("hello") && table.contains(name) && table.contains("\(port)"))
                #expect(try host.succeed("logs", "hello").lines.first == "serving on 8000")
                #expect(try host.succeed("logs", "--tail", "1", "-t", "hello").lines.count == 1)

                let inside = try host.succeed("exec", "hello", "sh", "-c", "echo $GREETING; pwd")
                #expect(inside.lines == ["from the image", "/srv"])
                #expect(try host.mlrun(["exec", "hello", "sh", "-c", "exit 7"]).status == 7)
                let stats = try host.json("stats", "--no-stream", "-o", "json", "hello").array?.first
                #expect((stats?["processes"]?.int ?? 0) >= 2)
                let top = try host.json("top", "-o", "json", "hello").array ?? []
                #expect(top.contains { $0["command"]?.string?.contains("httpd") == true })
                let details = try host.inspect("hello")
                #expect(details["status"]?.string == "ready")
                #expect(details["settings"]?["name"]?.string == "hello")
                let events = try host.succeed("events", "--no-follow", "--since", "10m", "-o", "json").output
                #expect(events.contains(#""service":"hello""#))

                try stopAndRemove(host, name, port)
            }
        }

        private func stopAndRemove(_ host: TestHost, _ name: String, _ port: Int) throws {
            let inUse = try host.mlrun(["rmi", name])
            #expect(inUse.status != 0, "an image that a service uses stays")
            #expect(try host.succeed("stop", "hello").lines == ["hello"])
            #expect(host.processes.isEmpty, "stopped means that nothing is left")
            #expect(throws: HTTPRequest.Failure.connect(.connectionRefused)) { try HTTPRequest(port: port).send() }
            #expect(try host.succeed("ps", "-q").lines.isEmpty)
            #expect(try host.succeed("ps", "-a", "-q").lines == ["hello"])
            #expect(try host.succeed("logs", "hello").lines.last == "stopping", "the stop signal came and was heeded")

            try host.succeed("restart", "hello")
            #expect(try HTTPRequest(port: try host.port(of: "hello")).send().status == 200)
            let running = try host.mlrun(["rm", "hello"])
            #expect(running.status != 0 && running.errors.contains("hello"))
            try host.succeed("rm", "--force", "hello")
            #expect(try host.succeed("ps", "-a", "-q").lines.isEmpty)

            let removed = try host.succeed("rmi", name)
            #expect(removed.output.contains("untagged"))
            #expect(try host.succeed("images", "-q").lines.isEmpty)
            try host.succeed("prune", "--all")
            let layers = (try? File.list("\(host.root)/layers/sha256")) ?? []
            #expect(layers.filter { $0.hasSuffix(".erofs") }.isEmpty, "no layer is left: \(layers)")
        }

        @Test("an image is pulled by digest, and one that is not there is an error that says so")
        func references() throws {
            let image = try TestImage.shared()
            let registry = try DebianRegistry()
            try image.copy(to: "docker://\(registry.name("hello:v1"))", "--dest-tls-verify=false")
            try TestHost.with { host throws in
                try host.succeed("pull", "--quiet", registry.name("hello:v1"))
                let known = try host.json("images", "-o", "json").array?.first?["digest"]?.string
                let digest = try #require(known)
                try host.succeed("pull", "--quiet", registry.name("hello@\(digest)"))
                let ran = try host.shell(registry.name("hello@\(digest)"), "echo $GREETING")
                #expect(ran.lines == ["from the image"])

                let missing = try host.mlrun(["pull", registry.name("hello:v2")])
                #expect(missing.status != 0)
                #expect(missing.errors.contains("hello:v2") && missing.errors.contains("manifest unknown"))
                let nobody = try host.mlrun(["pull", "127.0.0.1:\(try FreePort.find())/hello:v1"])
                #expect(nobody.status != 0)
                #expect(nobody.errors.contains("refused"))
            }
        }

        @Test(
            "an image that umoci has made is pulled with its gzip layers and runs as umoci was told",
            .enabled(if: TestMachine.isInstalled("umoci"), "needs Debian's umoci"))
        func umoci() throws {
            let image = try TestImage()
            let registry = try DebianRegistry()
            let added = try image.directory.write("added", "by umoci\n")
            let layout = image.layout
            try Program.succeed("umoci", "insert", "--image", "\(layout):v1", added, "/data/added")
            try Program.succeed(
                "umoci", "config", "--image", "\(layout):v1", "--config.cmd", "cat", "--config.cmd", "/data/added")
            let name = registry.name("from/umoci:v1")
            try image.copy(to: "docker://\(name)", "--dest-tls-verify=false")
            try TestHost.with { host throws in
                try host.succeed("pull", "--quiet", name)
                #expect(try host.json("images", "-o", "json").array?.first?["layers"]?.int == 2)
                #expect(try host.succeed("run", "--rm", "--quiet", name).output == "by umoci\n")
            }
        }
    }
}

extension TestHost {
    func shell(_ image: String, _ script: String) throws -> Program.Outcome { try shell(image, [], script) }
}
