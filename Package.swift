// swift-tools-version: 6.2
import PackageDescription

/// One set of rules for every target of the package.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

// ISA-L exists for these processors only; elsewhere zlib inflates.
#if arch(x86_64) || arch(arm64)
    let isal: [Target.Dependency] = ["CLibisal"]
#else
    let isal: [Target.Dependency] = []
#endif

let package = Package(
    name: "mlrun",
    products: [
        // What another Swift program embeds.
        .library(name: "MLRun", targets: ["MLRun"]),
        .executable(name: "mlrun", targets: ["mlrun"]),
        .executable(name: "mlrund", targets: ["mlrund"]),
        .executable(name: "mlrun-gateway", targets: ["mlrun-gateway"]),
        .executable(name: "mlrun-oci", targets: ["mlrun-oci"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    ],
    targets: [
        // MARK: C: what Swift cannot or must not do

        // System calls and constants that the Glibc overlay hides.
        .target(name: "CLinux", path: "CModules/CLinux"),
        // The player: the only code that runs between clone3 and execve.
        .target(name: "CLaunch", path: "CModules/CLaunch"),
        .target(name: "CEarlySeal", path: "CModules/CEarlySeal"),
        .systemLibrary(name: "CLibseccomp", path: "CModules/CLibseccomp", providers: [.apt(["libseccomp-dev"])]),
        .systemLibrary(name: "CLibcap", path: "CModules/CLibcap", providers: [.apt(["libcap-dev"])]),
        .systemLibrary(name: "CLibisal", path: "CModules/CLibisal", providers: [.apt(["libisal-dev"])]),
        .systemLibrary(name: "CLibzstd", path: "CModules/CLibzstd", providers: [.apt(["libzstd-dev"])]),
        .systemLibrary(name: "CLibz", path: "CModules/CLibz", providers: [.apt(["zlib1g-dev"])]),

        // MARK: Libraries, lowest first

        .target(name: "LinuxSystem", dependencies: ["CLinux"], swiftSettings: strict),
        .target(name: "OCISpec", swiftSettings: strict),
        .target(
            name: "Container",
            dependencies: ["LinuxSystem", "OCISpec", "CLinux", "CLaunch", "CLibseccomp", "CLibcap"],
            swiftSettings: strict),
        .target(
            name: "Registry",
            dependencies: [
                "LinuxSystem", "OCISpec",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .target(
            name: "Trust", dependencies: ["OCISpec", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: strict),
        .target(
            name: "ImageStore",
            dependencies: [
                "LinuxSystem", "OCISpec", "CLinux", "CLibzstd", "CLibz",
                .product(name: "Crypto", package: "swift-crypto"),
            ] + isal,
            swiftSettings: strict),
        .target(
            name: "Gateway",
            dependencies: [
                "LinuxSystem", "OCISpec", "CLinux",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .target(
            name: "Serving",
            dependencies: ["LinuxSystem", "OCISpec", "Container", "ImageStore", "CLinux", "CLaunch"],
            swiftSettings: strict),
        .target(
            name: "MLRun",
            dependencies: [
                "LinuxSystem", "OCISpec", "Container", "ImageStore", "Registry", "Trust", "Serving",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            swiftSettings: strict),

        // MARK: Executables

        .executableTarget(
            name: "mlrun",
            dependencies: [
                "MLRun", "Serving", "Container", "ImageStore", "Registry", "Trust", "OCISpec", "LinuxSystem", "CLinux",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "mlrund",
            dependencies: ["Serving", "Container", "ImageStore", "OCISpec", "LinuxSystem", "CLinux"],
            swiftSettings: strict),
        .executableTarget(
            name: "mlrun-gateway", dependencies: ["Gateway", "LinuxSystem", "OCISpec", "CLinux"],
            swiftSettings: strict),
        .executableTarget(
            name: "mlrun-oci", dependencies: ["Container", "OCISpec", "LinuxSystem", "CLinux", "CEarlySeal"],
            swiftSettings: strict),

        // How another program embeds the library; built with the tests so that it stays true.
        .executableTarget(
            name: "Embed", dependencies: ["MLRun", "OCISpec", "Serving"], path: "Examples/Embed", swiftSettings: strict),

        // MARK: Tests

        // Makes one system call of a program fail; for the tests alone.
        .executableTarget(name: "syscall-faults", path: "Tests/SyscallFaults"),
        .testTarget(name: "LinuxSystemTests", dependencies: ["LinuxSystem", "CLinux"], swiftSettings: strict),
        .testTarget(name: "OCISpecTests", dependencies: ["OCISpec"], swiftSettings: strict),
        .testTarget(
            name: "ContainerTests",
            dependencies: ["Container", "OCISpec", "LinuxSystem", "CLinux", "CLibseccomp"],
            exclude: ["Launch/Golden"], swiftSettings: strict),
        .testTarget(
            name: "RegistryTests",
            dependencies: [
                "Registry", "OCISpec",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "TrustTests",
            dependencies: ["Trust", "OCISpec", .product(name: "Crypto", package: "swift-crypto")],
            swiftSettings: strict),
        .testTarget(
            name: "ImageStoreTests", dependencies: ["ImageStore", "OCISpec", "LinuxSystem", "CLinux", "CLibzstd"],
            swiftSettings: strict),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "Gateway", "mlrun-gateway", "OCISpec", "LinuxSystem", "CLinux",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ServingTests",
            dependencies: ["Serving", "Container", "ImageStore", "OCISpec", "LinuxSystem", "CLinux", "CLaunch"],
            swiftSettings: strict),
        .testTarget(
            name: "MLRunTests",
            dependencies: [
                "MLRun", "OCISpec", "LinuxSystem", "CLinux", .product(name: "Crypto", package: "swift-crypto"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "RuntimeTests", dependencies: ["mlrun-oci", "Container", "OCISpec", "LinuxSystem"],
            swiftSettings: strict),
        .testTarget(name: "CommandTests", dependencies: ["mlrun", "OCISpec"], swiftSettings: strict),
        .testTarget(name: "ArchitectureTests", swiftSettings: strict),
        // Parsers under hostile input. LibFuzzer is what scripts/fuzz adds.
        .testTarget(
            name: "FuzzTests",
            dependencies: [
                "OCISpec", "ImageStore", "Container", "Serving", "Gateway", "Registry", "Trust", "LinuxSystem",
                "CLinux", "CLibz", "CLibzstd",
                .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Tests/Fuzz", exclude: ["Corpus", "LibFuzzer"], swiftSettings: strict),
        // Runs the programs of dist/bin against the real kernel, registry and model server.
        .testTarget(
            name: "IntegrationTests", dependencies: ["OCISpec", "LinuxSystem", "CLinux", "syscall-faults"],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .gnu17
)
