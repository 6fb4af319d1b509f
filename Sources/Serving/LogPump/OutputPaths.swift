/// Where the output of a replica passes through on this host; all below its directory in the state directory.
struct OutputPaths {
    let directory: String

    func fifo(_ stream: LogStream) -> String { "\(directory)/\(stream.rawValue)" }
    func spool(_ stream: LogStream) -> String { "\(directory)/\(stream.rawValue).spool" }
    var checkpoint: String { "\(directory)/log.checkpoint" }
}
