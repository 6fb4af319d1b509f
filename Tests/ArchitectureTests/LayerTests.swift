import Foundation
import Testing

/// Reads the sources as text: what a module imports decides what it may know.
@Suite("Architecture")
struct LayerTests {
    /// Every module with those of the package that it may import. Arrows point downward only.
    private static let mayImport: [String: Set<String>] = [
        "LinuxSystem": ["CLinux"],
        "OCISpec": [],
        "Container": ["LinuxSystem", "OCISpec", "CLinux", "CLaunch", "CLibseccomp", "CLibcap"],
        "Registry": ["LinuxSystem", "OCISpec"],
        "Trust": ["OCISpec"],
        "ImageStore": ["LinuxSystem", "OCISpec", "CLinux", "CLibisal", "CLibzstd", "CLibz"],
        "Gateway": ["LinuxSystem", "OCISpec", "CLinux"],
        "Serving": ["LinuxSystem", "OCISpec", "Container", "ImageStore", "CLinux", "CLaunch"],
        "MLRun": ["LinuxSystem", "OCISpec", "Container", "ImageStore", "Registry", "Trust", "Serving"],
        "mlrun": [
            "LinuxSystem", "OCISpec", "Container", "ImageStore", "Registry", "Trust", "Serving", "MLRun", "CLinux",
        ],
        "mlrund": ["LinuxSystem", "OCISpec", "Container", "ImageStore", "Serving", "CLinux"],
        "mlrun-gateway": ["LinuxSystem", "OCISpec", "Gateway", "CLinux"],
        "mlrun-oci": ["LinuxSystem", "OCISpec", "Container", "CLinux"],
    ]

    /// What runs in every container's way, or must stay small, is kept free of these.
    private static let withoutFoundation: Set<String> = [
        "LinuxSystem", "OCISpec", "Container", "ImageStore", "Serving", "Gateway", "mlrund", "mlrun-gateway",
        "mlrun-oci",
    ]
    private static let withoutNIO = withoutFoundation.subtracting(["Gateway", "mlrun-gateway"])

    private static func imports(in text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard let index = words.firstIndex(of: "import"), index <= 2, index + 1 < words.count else { return nil }
            let modifiers: Set<Substring> = [
                "public", "package", "internal", "private", "fileprivate", "@testable", "@_exported",
            ]
            guard words[..<index].allSatisfy(modifiers.contains) else { return nil }
            return String(words[index + 1].prefix { $0 != "." })
        }
    }

    @Test("every module imports only modules below it", arguments: mayImport.keys.sorted())
    func downward(module: String) throws {
        let allowed = try #require(Self.mayImport[module])
        let own = Set(Self.mayImport.keys).union([
            "CLinux", "CLaunch", "CLibseccomp", "CLibcap", "CLibisal", "CLibzstd", "CLibz",
        ])
        let sources = SourceFiles.of(module)
        #expect(!sources.isEmpty)
        for source in sources {
            for name in Self.imports(in: source.text) where own.contains(name) {
                #expect(allowed.contains(name), "\(source.path) imports \(name)")
            }
        }
    }

    @Test("what must start fast and stay small uses neither Foundation nor NIO", arguments: withoutFoundation.sorted())
    func lean(module: String) {
        for source in SourceFiles.of(module) {
            for name in Self.imports(in: source.text) {
                #expect(!name.hasPrefix("Foundation"), "\(source.path) imports \(name)")
                if Self.withoutNIO.contains(module) {
                    #expect(!name.hasPrefix("NIO") && name != "AsyncHTTPClient", "\(source.path) imports \(name)")
                }
            }
        }
    }

    @Test("every folder of sources is known here")
    func complete() throws {
        let folders = try FileManager.default.contentsOfDirectory(
            atPath: SourceFiles.root.appending(path: "Sources").path())
        #expect(Set(folders) == Set(Self.mayImport.keys))
    }

    @Test(
        "no Swift forks, waits for children that are not its own, or handles SIGCHLD",
        arguments: mayImport.keys.sorted())
    func children(module: String) {
        for source in SourceFiles.of(module) {
            for word in ["fork()", "vfork()", "waitpid(-1", "wait4(-1", "wait(nil", "SIGCHLD,", "SIGCHLD:"] {
                let code = source.text.split(separator: "\n").filter {
                    !$0.drop(while: { $0 == " " }).hasPrefix("//") && $0.contains(" \(word)")
                }
                #expect(code.isEmpty, "\(source.path): \(word)")
            }
        }
    }

    @Test("the manifest passes no unsafe flags, so that others can depend on the library")
    func noUnsafeFlags() throws {
        let manifest = try String(contentsOf: SourceFiles.root.appending(path: "Package.swift"), encoding: .utf8)
        #expect(!manifest.contains("unsafeFlags"))
    }
}
