internal import OCISpec

extension CgroupLimits {
    /// io.max, and io.bfq.weight or io.weight, whichever the kernel's scheduler brings.
    static func io(
        _ blockIO: RuntimeSpec.Resources.BlockIO, current: (String) -> String?
    ) throws(CgroupError) -> [CgroupSetting] {
        var settings: [CgroupSetting] = []
        let byBFQ = current("io.bfq.weight") != nil
        func weightSetting(_ field: String, device: String?, _ weight: UInt16) throws(CgroupError) {
            guard (10...1000).contains(weight) else { throw weightError(field, weight) }
            let value = byBFQ ? Int(weight) : 1 + (Int(weight) - 10) * 9999 / 990
            settings.append(
                CgroupSetting(
                    field: field, controller: "io", file: byBFQ ? "io.bfq.weight" : "io.weight",
                    value: device.map { "\($0) \(value)" } ?? String(value)))
        }
        if let weight = blockIO.weight, weight != 0 {
            try weightSetting("blockIO.weight", device: nil, weight)
        }
        for (index, device) in blockIO.weightDevice.enumerated() {
            guard let weight = device.weight, weight != 0 else { continue }
            let field = "blockIO.weightDevice[\(index)]"
            try weightSetting(field, device: try number(device.major, device.minor, field), weight)
        }
        for (name, key, devices) in [
            ("throttleReadBpsDevice", "rbps", blockIO.throttleReadBpsDevice),
            ("throttleWriteBpsDevice", "wbps", blockIO.throttleWriteBpsDevice),
            ("throttleReadIOPSDevice", "riops", blockIO.throttleReadIOPSDevice),
            ("throttleWriteIOPSDevice", "wiops", blockIO.throttleWriteIOPSDevice),
        ] {
            for (index, device) in devices.enumerated() {
                let field = "blockIO.\(name)[\(index)]"
                let rate = device.rate == 0 ? "max" : String(device.rate)
                settings.append(
                    CgroupSetting(
                        field: field, controller: "io", file: "io.max",
                        value: "\(try number(device.major, device.minor, field)) \(key)=\(rate)",
                        holdsWithoutFile: device.rate == 0))
            }
        }
        return settings
    }

    static func weightError(_ field: String, _ weight: UInt16) -> CgroupError {
        CgroupError(
            .value(field: field), "\(field) is \(weight), outside of 10 to 1000",
            remedy: "use a weight between them; 100 is usual")
    }

    static func number(_ major: Int64, _ minor: Int64, _ field: String) throws(CgroupError) -> String {
        guard major >= 0, minor >= 0 else {
            throw CgroupError(.value(field: field), "\(field): \(major):\(minor) is no device number")
        }
        return "\(major):\(minor)"
    }
}
