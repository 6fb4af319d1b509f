extension Double {
    /// `2` and `1.5`, never `2.0`.
    var shortText: String { self == rounded() && magnitude < 1e15 ? String(Int64(self)) : String(self) }
}
