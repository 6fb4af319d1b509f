internal import CLinux
internal import Glibc
internal import LinuxSystem

/// An flock(2) whose file exists only while somebody holds or awaits it, so that a lock per digest leaves no litter.
///
/// Whoever gets the lock looks whether the path still names the file that was locked, and starts over if a former
/// holder has removed it; whoever lets go removes the file if nobody else has it. The kernel frees the lock of a
/// process that dies.
final class DigestLock: Sendable {
    private let path: String
    private let descriptor: Int32

    private init(_ path: String, holding descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    /// Waits for the lock.
    static func acquire(_ path: String, exclusive: Bool) throws(SystemError) -> DigestLock {
        while true {
            if let lock = try attempt(path, (exclusive ? LOCK_EX : LOCK_SH)) { return lock }
        }
    }

    /// The lock, if it is free now.
    static func acquireIfFree(_ path: String, exclusive: Bool) throws(SystemError) -> DigestLock? {
        while true {
            do throws(SystemError) {
                if let lock = try attempt(path, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) { return lock }
            } catch {
                if error.errno == .wouldBlock { return nil }
                throw error
            }
        }
    }

    /// One try; nil when the file was removed under it.
    private static func attempt(_ path: String, _ operation: Int32) throws(SystemError) -> DigestLock? {
        let opened = try File.open(path, O_RDWR | O_CREAT, mode: 0o600)
        let raw = opened.rawValue
        try check(retrying { flock(raw, operation) < 0 ? -errno : 0 }, "lock", path: path)
        guard isCurrent(raw, path) else { return nil }
        return DigestLock(path, holding: opened.release())
    }

    private static func isCurrent(_ descriptor: Int32, _ path: String) -> Bool {
        var mine = mlr_status()
        var named = mlr_status()
        guard mlr_statx(descriptor, "", Int32(MLR_AT_EMPTY_PATH), &mine) == 0,
            mlr_statx(AT_FDCWD, path, Int32(MLR_AT_SYMLINK_NOFOLLOW), &named) == 0
        else { return false }
        return mine.inode == named.inode
    }

    deinit {
        // Turning a shared lock into an exclusive one is not atomic: between the two another may come and go, file and
        // all.
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0, Self.isCurrent(descriptor, path) { _ = unlink(path) }
        _ = close(descriptor)
    }
}

/// The right to bring one layer into the store: whoever waits for it finds the layer there when he gets it.
///
/// Released with the last reference; the death of the process releases it too.
public final class LayerLock: Sendable {
    private let lock: DigestLock

    init(_ lock: DigestLock) { self.lock = lock }
}

/// Keeps layers from garbage collection while an image that needs them is on its way, or is being mounted or run.
///
/// Released with the last reference; the death of the process releases it too.
public final class LayerPins: Sendable {
    private let locks: [DigestLock]

    init(_ locks: [DigestLock]) { self.locks = locks }
}
