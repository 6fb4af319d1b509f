import Container
import Glibc

do {
    try SealedProgram.enter()
} catch {
    // Without the right to mount no container without a user namespace can be made either: its own error is clearer. Nor
    // could one of a user who is not root ever write the program.
    if geteuid() == 0 { OCILog(file: nil, isJSON: false).warning("\(error)") }
}
exit(OCIProgram.run(Array(CommandLine.arguments.dropFirst())))
