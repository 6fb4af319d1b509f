/// A fact of the host that most callers never want to know: read each time it is asked for, unless it was given.
@propertyWrapper
public struct ReadWhenAsked<Value: Sendable & Equatable>: Sendable, Equatable {
    private var given: Value?
    private let read: @Sendable () -> Value

    /// A value that is known, as tests have them.
    public init(wrappedValue: Value) {
        given = wrappedValue
        read = { wrappedValue }
    }

    init(_ read: @escaping @Sendable () -> Value) { self.read = read }

    /// What the fact is now.
    public var wrappedValue: Value {
        get { given ?? read() }
        set { given = newValue }
    }

    public static func == (one: Self, other: Self) -> Bool { one.wrappedValue == other.wrappedValue }
}
