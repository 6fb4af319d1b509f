/// One value for one file of a group, and why it is wanted.
struct CgroupSetting: Sendable, Equatable {
    /// The limit's place below `linux.resources`, such as `memory.limit`.
    let field: String
    /// The controller that enforces it.
    let controller: String
    let file: String
    let value: String
    /// Whether a host without the file keeps the promise anyhow, as one without swap keeps every limit of swap.
    var holdsWithoutFile = false
    /// Whether the limit can do without this file because another one carries it.
    var optional = false
}
