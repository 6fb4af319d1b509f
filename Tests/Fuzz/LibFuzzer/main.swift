// Built by scripts/fuzz alone, once for each module, with -sanitize=fuzzer.
import Glibc

#if FUZZ_OCISPEC
    private let targets = FuzzTarget.spec
#elseif FUZZ_IMAGESTORE
    private let targets = FuzzTarget.store
#elseif FUZZ_CONTAINER
    private let targets = FuzzTarget.container
#elseif FUZZ_SERVING
    private let targets = FuzzTarget.serving
#elseif FUZZ_GATEWAY
    private let targets = FuzzTarget.gateway
#elseif FUZZ_REGISTRY
    private let targets = FuzzTarget.registry
#elseif FUZZ_TRUST
    private let targets = FuzzTarget.trust
#endif

@_silgen_name("LLVMFuzzerRunDriver")
private func runLibFuzzer(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ testOneInput: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

private let name = getenv("MLRUN_FUZZ_TARGET").map { String(cString: $0) } ?? ""
private nonisolated(unsafe) var target = targets[0]
guard let found = targets.first(where: { $0.name == name }) else {
    print("fuzz: \"\(name)\" is none of \(targets.map(\.name).joined(separator: ", "))")
    exit(2)
}
target = found

private var count = CommandLine.argc
private var arguments = CommandLine.unsafeArgv
exit(
    runLibFuzzer(&count, &arguments) { bytes, count in
        do throws(FuzzFinding) {
            try target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
        } catch {
            fatalError("finding in \(target.name): \(error)")
        }
        return 0
    })
