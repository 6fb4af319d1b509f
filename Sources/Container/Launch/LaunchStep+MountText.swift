internal import OCISpec

extension FileSystemMount {
    var json: JSON {
        var object = JSONObject()
        object["type"] = .string(type)
        object["source"] = source.map { .string($0) }
        object["target"] = .string(target)
        object.set("options", options.map(\.text))
        object.set("attributes", attributes.words)
        object.set("propagation", propagation.map(\.rawValue))
        object["idMapping"] = idMapping?.json
        let flags = [
            ("strict", isStrict), ("takesMode", takesMode), ("copiesUp", copiesUp), ("coversLink", !followsTarget),
            ("countsVersions", countsVersions), ("finishedLater", isFinishedLater),
        ]
        for (name, isSet) in flags where isSet { object[name] = true }
        return .object(object)
    }
}

extension Remount {
    var json: JSON {
        var object = JSONObject()
        object["target"] = .string(target)
        object.set("options", options.map(\.text))
        object.set("attributes", attributes.words)
        object.set("propagation", propagation.map(\.rawValue))
        if !followsTarget { object["ofLink"] = true }
        return .object(object)
    }
}

extension IDMapping {
    var json: JSON {
        var object = JSONObject()
        object.set("uid", uid.map(\.json))
        object.set("gid", gid.map(\.json))
        object.set("namespace", namespace)
        object["recursive"] = .bool(isRecursive)
        return .object(object)
    }
}

extension BindMount {
    var json: JSON {
        var object = JSONObject()
        object["source"] = .string(source)
        object["target"] = .string(target)
        object["recursive"] = .bool(isRecursive)
        object.set("attributes", attributes.words)
        object.set("recursiveAttributes", recursiveAttributes.words)
        object.set("propagation", propagation.map(\.rawValue))
        object["idMapping"] = idMapping?.json
        object["device"] = device.map { .string("\($0.type) \($0.major):\($0.minor)") }
        let flags = [
            ("ofLink", !followsSource), ("strict", isStrict), ("coversLink", !followsTarget),
            ("copiesLink", copiesLink),
        ]
        for (name, isSet) in flags where isSet { object[name] = true }
        return .object(object)
    }
}

extension DeviceNode {
    var json: JSON {
        [
            "path": .string(path), "type": .string(type), "device": .string("\(major):\(minor)"),
            "mode": .string(.octal(mode)), "owner": .string("\(uid):\(gid)"),
        ]
    }
}
