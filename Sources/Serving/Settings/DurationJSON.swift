public import OCISpec

extension Duration {
    /// Seconds, with a fraction where there is one.
    public var json: JSON {
        let nanoseconds = wholeNanoseconds
        return nanoseconds % 1_000_000_000 == 0 ? .integer(nanoseconds / 1_000_000_000) : .number(fractionalSeconds)
    }

    public init(_ cursor: JSONCursor) throws(JSONError) {
        let seconds = try cursor.double()
        guard seconds >= 0, seconds <= 100 * 365 * 86400 else {
            throw cursor.failure("is no number of seconds from 0 to a hundred years")
        }
        self = .nanoseconds(Int64((seconds * 1e9).rounded()))
    }
}
