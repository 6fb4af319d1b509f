import CLinux
import Glibc
import LinuxSystem

/// A pseudo-terminal whose other side is in the test's hands.
final class Terminal {
    /// Of the side that a program gets.
    let path: String
    private let controller: SharedDescriptor
    private(set) var text = ""

    init(rows: UInt16 = 24, columns: UInt16 = 80) throws {
        var descriptor: Int32 = -1
        var name = [CChar](repeating: 0, count: 128)
        try check(mlr_open_pty(&descriptor, &name, name.count), "open a terminal")
        controller = SharedDescriptor(taking: descriptor)
        path = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        try check(mlr_set_window_size(descriptor, rows, columns), "set the terminal's size")
        try check(mlr_set_nonblocking(descriptor, true), "prepare the terminal")
    }

    func resize(rows: UInt16, columns: UInt16) throws {
        try check(mlr_set_window_size(controller.rawValue, rows, columns), "set the terminal's size")
    }

    func type(_ keys: String) throws { try File.writeAll(Array(keys.utf8), to: controller.rawValue) }

    /// Reads until the text is there; false when it did not come.
    func shows(_ wanted: String, within seconds: Int = 20) -> Bool {
        TestMachine.eventually(within: seconds) {
            var buffer = [UInt8](repeating: 0, count: 65536)
            let got = Glibc.read(controller.rawValue, &buffer, buffer.count)
            if got > 0 { text += String(decoding: buffer[..<got], as: UTF8.self) }
            return text.contains(wanted)
        }
    }
}
