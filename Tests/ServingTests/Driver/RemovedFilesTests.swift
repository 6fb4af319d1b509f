import CLinux
import Glibc
import LinuxSystem
import OCISpec
import Testing

@testable import Serving

@Suite("removed files")
struct RemovedFilesTests {
    @Test("a directory is taken away at once, whatever is in it, and deleted later")
    func take() throws {
        let place = try TemporaryDirectory()
        let removed = RemovedFiles(MLRunDirectories(root: place.path, state: place.path))
        let directory = "\(place.path)/services/s"
        try File.makeDirectories("\(directory)/replicas/s-1/scratch")
        let moved = try #require(try removed.take(directory))
        #expect(!File.exists(directory))
        #expect(File.exists("\(moved)/replicas/s-1/scratch"))
        #expect(try removed.remains == [moved])
        #expect(try File.status(File.parent(of: moved)).mode & 0o777 == 0o700)
        #expect(try removed.take(directory) == nil)
        try File.makeDirectories(directory)
        try removed.remove(directory)
        #expect(!File.exists(directory))
        #expect(try removed.remains == [moved])
    }
}

@Suite("what mlrund's environment says of the gateway")
struct GatewayOptionTests {
    @Test("numbers become options, and anything else is refused with its variable")
    func variables() throws {
        func options(_ variables: [String: String]) throws -> [String] {
            try GatewayOptions.arguments { variables[$0] }
        }
        #expect(try options([:]).isEmpty)
        #expect(try options(["MLRUN_MAX_CONNECTIONS": ""]).isEmpty)
        #expect(
            try options(["MLRUN_MAX_CONNECTIONS": "100", "MLRUN_MAX_CONNECTIONS_PER_CLIENT": "7"])
                == ["--max-connections", "100", "--max-connections-per-client", "7"])
        for text in ["0", "-1", "many", "1000001"] {
            let error = #expect(throws: ControlError.self) { try options(["MLRUN_MAX_CONNECTIONS_PER_CLIENT": text]) }
            #expect(error?.message.hasPrefix("MLRUN_MAX_CONNECTIONS_PER_CLIENT=\(text) ") == true)
        }
    }
}
