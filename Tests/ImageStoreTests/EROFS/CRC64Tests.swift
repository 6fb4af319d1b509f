import Testing

@testable import ImageStore

@Suite struct CRC64Tests {
    private func byTable(_ bytes: [UInt8], cutAt place: Int) -> UInt64 {
        var checksum = CRC64()
        bytes[..<place].withUnsafeBytes { checksum.updateByTable($0) }
        bytes[place...].withUnsafeBytes { checksum.updateByTable($0) }
        return checksum.value
    }

    @Test("it is CRC-64/XZ, by the check value of its definition")
    func checkValue() {
        let digits = Array("123456789".utf8)
        #expect(digits.withUnsafeBytes { CRC64(of: $0).value } == 0x995D_C9BB_DF19_39FA)
        #expect(byTable(digits, cutAt: 4) == 0x995D_C9BB_DF19_39FA)
        #expect([UInt8]().withUnsafeBytes { CRC64(of: $0).value } == 0)
    }

    @Test("with ISA-L and without it is the same, however the bytes come")
    func forms() {
        var generator = SystemRandomNumberGenerator()
        for length in [1, 7, 8, 9, 63, 1024, 4097, 100_003] {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            let whole = bytes.withUnsafeBytes { CRC64(of: $0).value }
            for place in [0, 1, length / 3, length] { #expect(byTable(bytes, cutAt: place) == whole) }
        }
    }
}
