public import ImageStore
public import OCISpec
internal import Registry

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
    public func pull(_ reference: String, platform: Platform = .host) -> AsyncThrowingStream<PullEvent, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    _ = try await bring(reference, platform: platform) { continuation.yield($0) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// As ``pull(_:platform:)``, for callers who want the image and hear of the steps through a function.
    @discardableResult
    public func bring(
        _ reference: String, platform: Platform = .host, report: @escaping @Sendable (PullEvent) -> Void = { _ in }
    ) async throws(MLRunError) -> PulledImage {
        if let source = try source(reference) { return try await importImage(from: source, report) }
        let parsed: ImageReference
        do throws(ImageReference.Invalid) { parsed = try ImageReference(parsing: reference) } catch {
            throw MLRunError(error)
        }
        let client = RegistryClient(configuration: registry, logger: logger)
        let puller = ImagePuller(
            store: store, client: client, reference: parsed, platform: platform, report: report)
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
    public func image(
        _ reference: String, policy: PullPolicy, platform: Platform = .host,
        report: @escaping @Sendable (PullEvent) -> Void = { _ in }
    ) async throws(MLRunError) -> PulledImage {
        let isSource = try source(reference) != nil
        if policy == .always || isSource {
            return try await bring(reference, platform: platform, report: report)
        }
        let known: ImageRecord?
        do throws(StoreError) { known = try store.image(reference) } catch { throw MLRunError(error) }
        if let known { return PulledImage(image: known, timing: PullTiming(), wasUpToDate: true) }
        if policy == .never { throw MLRunError(.image(.noSuchImage(reference))) }
        return try await bring(reference, platform: platform, report: report)
    }

    private func source(_ text: String) throws(MLRunError) -> ImageSource? {
        do throws(StoreError) { return try ImageSource(parsing: text) } catch { throw MLRunError(error) }
    }

    private func importImage(
        from source: ImageSource, _ report: @escaping @Sendable (PullEvent) -> Void
    ) async throws(MLRunError) -> PulledImage {
        let clock = ContinuousClock()
        let began = clock.now
        let store = self.store
        do throws(StoreError) {
            let record = try await blocking { () throws(StoreError) in
                try store.importImage(from: source) { report(.progress($0)) }
            }
            var timing = PullTiming()
            timing.layers = clock.now - began
            timing.received = record.layers.reduce(0) { $0 + $1.compressedSize }
            let pulled = PulledImage(image: record, timing: timing, wasUpToDate: false)
            report(.finished(pulled))
            return pulled
        } catch {
            throw MLRunError(error)
        }
    }
}
