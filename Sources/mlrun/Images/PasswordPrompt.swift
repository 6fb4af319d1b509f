internal import Glibc

/// Asks for lines on the terminal that is standard input, without showing the hidden ones.
struct PasswordPrompt {
    /// Nil where standard input is no terminal.
    init?() {
        guard Terminal.isTerminal(STDIN_FILENO) else { return nil }
    }

    func ask(_ question: String, isHidden: Bool = false) throws -> String {
        Output.write(question, to: STDERR_FILENO)
        var before = termios()
        guard isHidden, tcgetattr(STDIN_FILENO, &before) == 0 else { return readLine() ?? "" }
        var quiet = before
        // Ctrl-C comes in as a character: as a signal it would end the program and leave the terminal mute.
        quiet.c_lflag &= ~tcflag_t(ECHO | ISIG | ICANON)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &before)
            Output.write("\n", to: STDERR_FILENO)
        }
        return try line()
    }

    /// Up to the end of the line, with the keys that a terminal understands by itself where it shows what is typed.
    private func line() throws -> String {
        var bytes: [UInt8] = []
        while true {
            var byte: UInt8 = 0
            let got = read(STDIN_FILENO, &byte, 1)
            if got < 0, errno == EINTR { continue }
            if got <= 0 { return String(decoding: bytes, as: UTF8.self) }
            switch byte {
            case 0x0A, 0x0D, 0x04: return String(decoding: bytes, as: UTF8.self)
            case 0x03, 0x1C: throw CommandFailure("interrupted", exitCode: 130)
            case 0x08, 0x7F:
                // A character may be several bytes.
                while let last = bytes.popLast(), last & 0xC0 == 0x80 {}
            case 0x15: bytes = []
            default: bytes.append(byte)
            }
        }
    }
}

/// A secret that another program sends.
enum StandardInput {
    private static let longest = 64 << 10

    /// All of standard input without the line end that closes it; nil if that is nothing, or too much for a secret.
    static func readSecret() -> String? {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let got = read(STDIN_FILENO, &buffer, buffer.count)
            if got < 0, errno == EINTR { continue }
            if got <= 0 { break }
            bytes += buffer[..<got]
            if bytes.count > longest { return nil }
        }
        if bytes.last == 0x0A { bytes.removeLast() }
        if bytes.last == 0x0D { bytes.removeLast() }
        return bytes.isEmpty ? nil : String(validating: bytes, as: UTF8.self)
    }
}
