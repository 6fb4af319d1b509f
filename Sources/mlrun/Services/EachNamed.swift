/// One action for each of several names: what fails does not keep the others from it, and the command fails at the end.
func forEach(_ names: [String], _ body: (String) async throws -> Void) async throws {
    var failed = false
    for name in names {
        do {
            try await body(name)
        } catch let error where names.count > 1 {
            CommandFailure.report(error)
            failed = true
        }
    }
    if failed { throw CommandFailure.ProgramEnded(exitCode: 1) }
}
