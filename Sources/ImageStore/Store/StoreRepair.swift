internal import LinuxSystem
internal import OCISpec

extension StoreAudit {
    /// Removes what is damaged and what needs it, and what nobody needs any more but was never whole. Under the locks of
    /// records and mounts.
    mutating func repair() throws(StoreError) {
        // Between the check and the locks others may have pulled or removed: what they changed is theirs.
        for index in result.findings.indices where result.findings[index].kind == .damage {
            guard isStillTrue(result.findings[index]) else { continue }
            try remove(result.findings[index])
            result.findings[index].isRepaired = true
        }
        for index in result.findings.indices where result.findings[index].kind == .leftover {
            try removeLeftover(index)
        }
        do throws(SystemError) { try store.removeDeadLocks() } catch { throw .system(error) }
    }

    private func isStillTrue(_ finding: StoreCheck.Finding) -> Bool {
        guard let digest = finding.layer, finding.path == store.layerFile(digest) else { return true }
        guard let record = try? store.recordedLayer(digest) else { return false }
        return store.fault(of: record, content: true) != nil
    }

    private mutating func remove(_ finding: StoreCheck.Finding) throws(StoreError) {
        do throws(SystemError) {
            // Records first: no image may be listed whose layers are gone.
            for record in records where isBroken(record, by: finding) {
                if !File.exists(record.path) { continue }
                try File.removeIfPresent(record.path)
                result.lostImages.append(.init(reference: record.reference, source: record.source))
            }
            try File.syncDirectory(store.directories.images)
            guard let digest = finding.layer, finding.path != store.blobFile(digest) else {
                if !finding.path.hasPrefix("\(store.directories.images)/") { try File.removeIfPresent(finding.path) }
                return
            }
            try File.removeIfPresent(store.layerRecordFile(digest))
            try File.removeIfPresent(store.layerFile(digest))
            try store.detachLayer(digest)
            try File.syncDirectory(store.directories.layers)
        } catch {
            throw .system(error)
        }
    }

    private func isBroken(_ record: Record, by finding: StoreCheck.Finding) -> Bool {
        if record.path == finding.path { return true }
        if let digest = finding.layer, record.layers.contains(digest) { return true }
        return record.blobs.contains { store.blobFile($0) == finding.path }
    }

    /// Whole layers and blobs that no image needs are left to ``ImageStore/prune(all:before:uses:grace:)``, which knows
    /// what is on its way.
    private mutating func removeLeftover(_ index: Int) throws(StoreError) {
        let finding = result.findings[index]
        let isUnfinished = finding.path.hasPrefix("\(store.directories.ingest)/")
        do throws(SystemError) {
            if isUnfinished {
                try store.removeAbandonedIngests()
            } else if finding.path.hasSuffix(".tmp") {
                try store.removeTemporaries(olderThan: ImageStore.gracePeriod)
            } else if finding.path.hasPrefix("\(store.diffIDs)/") {
                try File.removeIfPresent(finding.path)
            } else if let digest = finding.layer, finding.path == store.layerFile(digest),
                !File.exists(store.layerRecordFile(digest))
            {
                guard
                    let lock = try DigestLock.acquireIfFree(
                        "\(store.directories.locks)/\(digest.hex).ingest", exclusive: true)
                else { return }
                try File.removeIfPresent(finding.path)
                withExtendedLifetime(lock) {}
            } else {
                return
            }
        } catch {
            throw .system(error)
        }
        result.findings[index].isRepaired = !File.exists(finding.path)
    }
}
