import Glibc

// Without CommandLine.arguments, which checks every word and takes as long as some verbs do.
let words = (1..<max(1, Int(CommandLine.argc))).compactMap { number in
    CommandLine.unsafeArgv[number].map { String(cString: $0) }
}
exit(OCIProgram.run(words))
