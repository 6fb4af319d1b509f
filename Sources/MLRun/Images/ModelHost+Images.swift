internal import ImageStore
public import OCISpec
internal import Registry
internal import Trust

extension ModelHost {
    /// Brings an image into the store: from a registry, or from `oci:DIR[:tag]`, `oci-archive:FILE[:tag]`,
    /// `docker-archive:FILE[:reference]` or `-` (an archive on standard input).
    ///
    /// The work begins at once and ends with ``PullEvent/finished(_:)`` or by throwing ``MLRunError``; giving the sequence
    /// up cancels it and leaves nothing half-written.
    ///
    /// - Parameters:
    ///   - reference: as a person types it; `busybox` means `docker.io/library/busybox:latest`.
    ///   - platform: which image of an index.
    ///   - settings: what is kept, and which signatures it must have.
    public func pull(
        _ reference: String, platform: Platform = .host, settings: PullSettings = PullSettings()
    ) -> AsyncThrowingStream<PullEvent, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    _ = try await bring(reference, platform: platform, settings: settings) { continuation.yield($0) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// As ``pull(_:platform:settings:)``, for callers who want the image and hear of the steps through a function.
    @discardableResult
    public func bring(
        _ reference: String, platform: Platform = .host, settings: PullSettings = PullSettings(),
        report: @escaping @Sendable (PullEvent) -> Void = { _ in }
    ) async throws(MLRunError) -> PulledImage {
        let trust = ImageTrust(policy: try TrustPolicy(file: policyFile), keys: settings.verificationKeys)
        if let source = try source(reference) { return try await importImage(from: source, trust, settings, report) }
        let parsed: ImageReference
        do throws(ImageReference.Invalid) { parsed = try ImageReference(parsing: reference) } catch {
            throw MLRunError(error)
        }
        let client = RegistryClient(configuration: registry, logger: logger)
        let puller = ImagePuller(
            store: store, client: client, reference: parsed, platform: platform, trust: trust,
            keepBlobs: settings.keepBlobs, report: report)
        do throws(MLRunError) {
            let image = try await puller.pull()
            await client.shutdown()
            return image
        } catch {
            await client.shutdown()
            throw error
        }
    }

    /// The image for a reference, brought into the store when `policy` says so.
    ///
    /// - Parameter beforePull: is asked when the image has to be pulled; what it throws is thrown instead.
    public func image(
        _ reference: String, policy: PullPolicy, platform: Platform = .host, settings: PullSettings = PullSettings(),
        beforePull: () throws(MLRunError) -> Void = {}, report: @escaping @Sendable (PullEvent) -> Void = { _ in }
    ) async throws(MLRunError) -> PulledImage {
        let isSource = try source(reference) != nil
        if policy == .always || isSource {
            try beforePull()
            return try await bring(reference, platform: platform, settings: settings, report: report)
        }
        let known: ImageRecord?
        do throws(StoreError) { known = try store.image(reference) } catch { throw MLRunError(error) }
        if let known, try await isTrusted(known, settings) {
            return PulledImage(image: known, timing: PullTiming(), wasUpToDate: true)
        }
        if policy == .never {
            guard known != nil else { throw MLRunError(.image(.noSuchImage(reference))) }
            throw MLRunError(
                .untrusted, "the signatures that are demanded of \(reference) were not verified when it was pulled",
                remedy: "pull it again, which verifies them")
        }
        try beforePull()
        return try await bring(reference, platform: platform, settings: settings, report: report)
    }

    /// Whether an image that is there may still be used: a policy may have become stricter since it came. One whose
    /// signatures were not verified then is pulled again, which verifies them.
    private func isTrusted(_ image: ImageRecord, _ settings: PullSettings) async throws(MLRunError) -> Bool {
        let trust = ImageTrust(policy: try TrustPolicy(file: policyFile), keys: settings.verificationKeys)
        if trust.keys.isEmpty, trust.policy.acceptsEverything { return true }
        guard let name = try? ImageReference(parsing: image.reference) else { return trust.keys.isEmpty }
        if let origin = image.origin, origin.kind != .registry, trust.keys.isEmpty {
            // Without a name to ask a registry for, what decided then decides now.
            let path = origin.kind == .stream ? nil : origin.location
            do throws(TrustError) { try trust.policy.admit(localPath: path, references: [image.reference]) } catch {
                throw MLRunError(error)
            }
            return true
        }
        return try trust.isSatisfied(by: image.origin?.signers ?? [], for: name)
    }

    private func source(_ text: String) throws(MLRunError) -> ImageSource? {
        do throws(StoreError) { return try ImageSource(parsing: text) } catch { throw MLRunError(error) }
    }

    private func importImage(
        from source: ImageSource, _ trust: ImageTrust, _ settings: PullSettings,
        _ report: @escaping @Sendable (PullEvent) -> Void
    ) async throws(MLRunError) -> PulledImage {
        let clock = ContinuousClock()
        let began = clock.now
        let store = self.store
        let record = try await importing(source, trust, settings) { options throws(StoreError) in
            try store.importImage(from: source, options) { report(.progress($0)) }
        }
        var timing = PullTiming()
        timing.layers = clock.now - began
        timing.received = record.layers.reduce(0) { $0 + $1.compressedSize }
        let pulled = PulledImage(image: record, timing: timing, wasUpToDate: false)
        report(.finished(pulled))
        return pulled
    }
}
