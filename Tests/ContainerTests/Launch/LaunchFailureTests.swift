import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Container

@Suite(.enabled(if: LaunchFixture.isPossible, "needs root and busybox-static"))
struct LaunchFailureTests {
    let fixture: LaunchFixture

    init() throws { fixture = try LaunchFixture() }

    private func failure(_ change: (inout RuntimeSpec) -> Void) -> LaunchError? {
        var spec = LaunchFixture.spec("true")
        change(&spec)
        do {
            _ = try fixture.run(spec)
            return nil
        } catch {
            return error as? LaunchError
        }
    }

    @Test("a program that is not on the PATH is 127 and says so")
    func missingProgram() {
        let error = failure { $0.process?.args = ["serve-model"] }
        #expect(error?.exitCode == 127)
        #expect(error?.description == "exec \"serve-model\": executable file not found in $PATH")
    }

    @Test("a missing program named by its path is 127 and says so")
    func missingPath() {
        let error = failure { $0.process?.args = ["/opt/serve"] }
        #expect(error?.exitCode == 127)
        #expect(error?.description == "exec \"/opt/serve\": no such file or directory")
    }

    @Test("a program without the execute permission is 126")
    func notExecutable() throws {
        try File.replace("\(fixture.root)/bin/data", with: [1, 2, 3], mode: 0o644)
        let error = failure { $0.process?.args = ["data"] }
        #expect(error?.exitCode == 126)
        #expect(error?.description == "exec \"data\": permission denied")
    }

    @Test("a program in no format of the kernel is 126")
    func wrongFormat() throws {
        try File.replace("\(fixture.root)/bin/data", with: [1, 2, 3], mode: 0o755)
        let error = failure { $0.process?.args = ["data"] }
        #expect(error?.exitCode == 126)
        #expect(error?.description == "exec \"data\": exec format error")
    }

    @Test("a script whose interpreter is missing is told from a missing script")
    func missingInterpreter() throws {
        try File.replace("\(fixture.root)/bin/script", with: Array("#!/opt/python\n".utf8), mode: 0o755)
        let error = failure { $0.process?.args = ["script"] }
        #expect(error?.exitCode == 127)
        #expect(error?.description.contains("interpreter") == true)
    }

    @Test("a step that fails names itself, its path and the kernel's reason")
    func namedStep() {
        let error = failure {
            $0.mounts.append(.init(destination: "/place", type: "tmpfs", source: "tmpfs", options: ["size=many"]))
        }
        guard case .step(.mount(let mount), _, let detail) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(mount.target == "/place")
        #expect(detail.contains("size"), "\(detail)")
        #expect(error?.exitCode == 125)
    }

    @Test("a missing volume is no missing program: its error never has the kernel's sentence for that")
    func missingVolume() {
        let error = failure {
            $0.mounts.append(.init(destination: "/place", type: "bind", source: "/no/such/weights", options: ["rbind"]))
        }
        #expect(error?.description.contains("/no/such/weights on /place") == true)
        #expect(error?.description.contains("no such file or directory") == false)
    }

    @Test("a link in the image in place of /proc is refused, and so is one that leads to it")
    func linkForProc() throws {
        rmdir("\(fixture.root)/proc")
        symlink("/place", "\(fixture.root)/proc")
        let error = failure { _ in }
        guard case .step(.mount(let mount), .tooManyLinks, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(mount.target == "/proc")
    }

    @Test("a link in the image leads a mount nowhere but below the container's root")
    func linkOutOfRoot() throws {
        let outside = "\(fixture.directory)/outside"
        try File.makeDirectories(outside)
        rmdir("\(fixture.root)/place")
        symlink("../../outside", "\(fixture.root)/place")
        let error = failure {
            $0.mounts.append(.init(destination: "/place/deep", type: "tmpfs", source: "tmpfs"))
        }
        // What it leads to inside is made there, as of an image whose files are links to what only a running system has.
        #expect(error == nil)
        #expect(File.exists("\(fixture.root)/outside/deep"))
        #expect(try File.list(outside).isEmpty)
    }

    @Test("a working directory that is a descriptor of the launching process is refused")
    func workingDirectoryOutside() {
        for number in 3...20 {
            let error = failure { $0.process?.cwd = "/proc/self/fd/\(number)" }
            guard let error else {
                Issue.record("a program ran in /proc/self/fd/\(number)")
                return
            }
            #expect(error.exitCode == 125, "\(error)")
        }
    }

    @Test("a failed launch leaves no process")
    func nothingLeft() throws {
        func children() throws -> [String] {
            try File.readText("/proc/thread-self/children").split(separator: " ").map(String.init)
        }
        let before = try children()
        _ = failure { $0.process?.args = ["serve-model"] }
        _ = failure {
            $0.hostname = nil; $0.linux?.sysctl = ["net.ipv4.no_such": "1"]
        }
        #expect(try children() == before)
    }

    @Test("a hook that fails stops the launch and is named")
    func failingHook() {
        let error = failure {
            $0.hooks = .init(createContainer: [.init(path: "/bin/sh", args: ["sh", "-c", "exit 3"])])
        }
        #expect(error == .hook("createContainer hook /bin/sh exited with code 3"))
    }

    @Test("a hook sees its own environment and nothing of the image's")
    func hookEnvironment() throws {
        let place = "\(fixture.directory)/seen"
        var spec = LaunchFixture.spec("true")
        spec.process?.env.append("LD_PRELOAD=/tmp/evil.so")
        spec.hooks = .init(
            createContainer: [.init(path: "/bin/sh", args: ["sh", "-c", "env > \(place)"], env: ["ONLY=this"])])
        _ = try fixture.run(spec)
        let seen = try File.readText(place)
        #expect(seen.contains("ONLY=this"))
        #expect(!seen.contains("LD_PRELOAD"))
    }
}
