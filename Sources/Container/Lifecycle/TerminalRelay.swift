internal import CLinux
internal import Glibc
public import LinuxSystem

/// Joins a person's terminal to a container's: raw mode, window size, and bytes both ways. Whoever has one waits for its
/// two sides to be readable and calls it.
public final class TerminalRelay {
    private let input: Int32
    private let output: Int32
    private let console: SharedDescriptor
    private let before: termios?

    /// Takes a terminal over; what is no terminal is relayed as it is.
    public init(_ console: SharedDescriptor, input: Int32 = 0, output: Int32 = 1) {
        self.input = input
        self.output = output
        self.console = console
        var attributes = termios()
        guard tcgetattr(input, &attributes) == 0 else {
            before = nil
            return
        }
        before = attributes
        cfmakeraw(&attributes)
        tcsetattr(input, TCSANOW, &attributes)
        copySize()
    }

    deinit {
        if var before { tcsetattr(input, TCSANOW, &before) }
    }

    /// Where the person's side is read from.
    public var personDescriptor: Int32 { input }
    /// Where the container's side is read from.
    public var containerDescriptor: Int32 { console.rawValue }

    /// Gives the container's terminal the size of the person's.
    public func copySize() {
        var rows: UInt16 = 0
        var columns: UInt16 = 0
        if mlr_get_window_size(input, &rows, &columns) == 0 {
            _ = mlr_set_window_size(console.rawValue, rows, columns)
        }
    }

    /// Passes on what there is from the person; false at the end. The container's terminal is told of an end as a person
    /// tells it, by the end-of-file character.
    public func passInput() throws(SystemError) -> Bool {
        if try copy(from: input, to: console.rawValue) { return true }
        if before == nil { _ = try? File.writeAll([Self.endOfFile], to: console.rawValue) }
        return false
    }

    /// Passes on what there is from the container; false when nobody has its terminal open any more.
    public func passOutput() throws(SystemError) -> Bool { try copy(from: console.rawValue, to: output) }

    /// Control-D.
    private static let endOfFile: UInt8 = 4

    private func copy(from source: Int32, to target: Int32) throws(SystemError) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 16384)
        let got = retrying { () -> Int in
            let got = read(source, &bytes, bytes.count)
            return got < 0 ? -Int(errno) : got
        }
        if got <= 0 { return false }
        do throws(SystemError) { try File.writeAll(Array(bytes[..<got]), to: target) } catch {
            // The container's side is closed: nobody is there to read, which is an end and no failure.
            if error.errno == .inputOutput { return false }
            throw error
        }
        return true
    }
}
