import Glibc

exit(OCIProgram.run(Array(CommandLine.arguments.dropFirst())))
