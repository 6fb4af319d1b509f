import Glibc

// No variable here: one of main.swift would belong to the main actor and bring Swift's concurrency along.
exit(OCIProgram.run(OCIProgram.words()))
