internal import Glibc
public import ImageStore
public import LinuxSystem
internal import NIOCore
internal import OCISpec
internal import Registry
internal import Trust

extension ModelHost {
    /// Writes images into one archive, every digest as it was. Blobs that the store did not keep are read again from
    /// where the image came, and verified on the way.
    ///
    /// - Parameters:
    ///   - names: As for ``ImageStore/image(_:)``; the references that are saved are those that are named.
    ///   - descriptor: Where the archive goes; it need not be a file.
    ///   - path: What errors call that.
    ///   - report: Called with the progress of each layer.
    /// - Throws: ``MLRunError``; what has been written by then is no archive.
    public func save(
        _ names: [String], format: ImageArchiveFormat = .ociArchive, to descriptor: SharedDescriptor, path: String,
        report: @escaping @Sendable (PullProgress) -> Void = { _ in }
    ) async throws(MLRunError) {
        let client = RegistryClient(configuration: registry, logger: logger)
        do throws(MLRunError) {
            try await save(names, format, descriptor, path, client, report)
            await client.shutdown()
        } catch {
            await client.shutdown()
            throw error
        }
    }

    /// As the other, into a file that appears once it is complete.
    public func save(
        _ names: [String], format: ImageArchiveFormat = .ociArchive, toFile path: String,
        report: @escaping @Sendable (PullProgress) -> Void = { _ in }
    ) async throws(MLRunError) {
        // What is no regular file, such as /dev/stdout or a FIFO, cannot be replaced by one.
        var status = stat()
        if stat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            let file: SharedDescriptor
            do throws(SystemError) { file = SharedDescriptor(try File.open(path, O_WRONLY)) } catch {
                throw MLRunError(error)
            }
            return try await save(names, format: format, to: file, path: path, report: report)
        }
        let temporary = "\(path).\(File.randomName()).tmp"
        let file: SharedDescriptor
        do throws(SystemError) {
            file = SharedDescriptor(try File.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o644))
        } catch {
            throw MLRunError(SystemError(error.operation, path: path, error.errno))
        }
        do throws(MLRunError) {
            try await save(names, format: format, to: file, path: path, report: report)
            do throws(SystemError) { try File.rename(temporary, to: path) } catch { throw MLRunError(error) }
        } catch {
            _ = unlink(temporary)
            throw error
        }
    }

    private func save(
        _ names: [String], _ format: ImageArchiveFormat, _ descriptor: SharedDescriptor, _ path: String,
        _ client: RegistryClient, _ report: @escaping @Sendable (PullProgress) -> Void
    ) async throws(MLRunError) {
        let store = store
        let archive: ImageArchive
        let supply: BlobSupply
        let pins: LayerPins
        do throws(StoreError) {
            var images: [ImageRecord] = []
            for name in names { images.append(try store.existingImage(name)) }
            pins = try store.pinLayers(
                images.flatMap { $0.layers.map(\.digest) + ($0.origin?.layers ?? []).map(\.digest) })
            archive = try ImageArchive(images, format: format, from: store, to: descriptor, path: path)
            supply = try BlobSupply(
                archive.layers.map { (descriptor: $0.descriptor, image: $0.image) }, in: store, client: client)
            try archive.begin()
        } catch {
            throw MLRunError(error)
        }
        for layer in archive.layers { try await write(layer, supply, archive, report) }
        do throws(StoreError) { try archive.finish() } catch { throw MLRunError(error) }
        withExtendedLifetime(pins) {}
    }

    private func write(
        _ layer: ImageArchive.Layer, _ supply: BlobSupply, _ archive: ImageArchive,
        _ report: @escaping @Sendable (PullProgress) -> Void
    ) async throws(MLRunError) {
        let descriptor = layer.descriptor
        func tell(_ sent: Int64, _ phase: PullProgress.Phase) {
            report(PullProgress(layer: descriptor.digest, received: sent, total: descriptor.size, phase: phase))
        }
        tell(0, .sending)
        let pieces: any BlobPieces
        do throws(RegistryError) { pieces = try await supply.content(of: descriptor).pieces(from: 0) } catch {
            throw MLRunError(error)
        }
        do throws(StoreError) { try archive.beginLayer(layer) } catch { throw MLRunError(error) }
        var sent: Int64 = 0
        var told: Int64 = 0
        while true {
            let next: ByteBuffer?
            do throws(RegistryError) { next = try await pieces.next() } catch { throw MLRunError(error) }
            guard let buffer = next else { break }
            var failure: StoreError?
            buffer.withUnsafeReadableBytes { bytes in
                do throws(StoreError) { try archive.write(bytes) } catch { failure = error }
            }
            if let failure { throw MLRunError(failure) }
            sent += Int64(buffer.readableBytes)
            if sent - told >= 1 << 20 {
                told = sent
                tell(sent, .sending)
            }
        }
        do throws(StoreError) { try archive.endLayer() } catch { throw MLRunError(error) }
        tell(sent, .done)
    }

    /// Brings every image of an archive into the store, with the references it has there: all of them or none.
    ///
    /// - Parameters:
    ///   - path: An OCI archive or what `docker save` writes, compressed or not; nil for standard input.
    ///   - settings: Where they demand a signature, the archive is refused.
    /// - Returns: One record a reference.
    public func load(
        file path: String?, settings: PullSettings = PullSettings(),
        report: @escaping @Sendable (PullProgress) -> Void = { _ in }
    ) async throws(MLRunError) -> [ImageRecord] {
        let source: ImageSource
        do throws(StoreError) {
            if let path {
                source = try ImageSource(archiveFile: path)
            } else {
                guard let input = try ImageSource(parsing: "-") else { preconditionFailure("- is standard input") }
                source = input
            }
        } catch {
            throw MLRunError(error)
        }
        let trust = ImageTrust(policy: try TrustPolicy(file: policyFile), keys: settings.verificationKeys)
        let store = store
        return try await importing(source, trust, settings) { options throws(StoreError) in
            try store.importImages(from: source, options) { report($0) }
        }
    }

    /// Runs an import that admits only what is trusted.
    func importing<Result: Sendable>(
        _ source: ImageSource, _ trust: ImageTrust, _ settings: PullSettings,
        _ body: @escaping @Sendable (ImportOptions) throws(StoreError) -> Result
    ) async throws(MLRunError) -> Result {
        // What no reference can change is said before anything is read.
        let isTrusting = trust.policy.acceptsEverything && trust.keys.isEmpty
        let outcome: Swift.Result<Result, MLRunError> = await blocking {
            var refusal: TrustError?
            var options = ImportOptions(keepBlobs: settings.keepBlobs)
            if !isTrusting {
                options.admit = { (_, references) throws(StoreError) in
                    do throws(TrustError) { try trust.admit(source, references: references) } catch {
                        refusal = error
                        throw .image(.notAdmitted(reason: error.message, remedy: error.remedy))
                    }
                }
            }
            do throws(StoreError) { return .success(try body(options)) } catch {
                return .failure(refusal.map { MLRunError($0) } ?? MLRunError(error))
            }
        }
        return try outcome.get()
    }

    /// Writes the files of an image into a directory, as a container would see them.
    ///
    /// - Parameters:
    ///   - name: As for ``ImageStore/image(_:)``.
    ///   - path: A directory that is empty or does not exist yet; left so when something fails.
    public func export(_ name: String, to path: String) async throws(MLRunError) -> ExportReport {
        let store = store
        do throws(StoreError) {
            return try await blocking { () throws(StoreError) in
                try store.export(try store.existingImage(name), to: path)
            }
        } catch {
            throw MLRunError(error)
        }
    }
}
