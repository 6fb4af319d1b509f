internal import Glibc
internal import ImageStore
internal import MLRun
internal import OCISpec
import Synchronization

/// Shows a pull on standard error: a bar a layer on a terminal, plain lines without one, JSON lines on standard output
/// when they are asked for, or nothing.
final class ProgressDisplay: Sendable {
    enum Style: Sendable {
        case bars, lines, json, none
    }

    private struct Layer {
        var progress: PullProgress
        var began: ContinuousClock.Instant?
    }

    private struct State {
        var order: [Digest] = []
        var layers: [Digest: Layer] = [:]
        var linesDrawn = 0
        var lastDraw: ContinuousClock.Instant?
    }

    private let style: Style
    private let state = Mutex(State())
    private let clock = ContinuousClock()

    init(_ style: Style) { self.style = style }

    /// Bars where a person looks, plain lines elsewhere.
    static func chosen(quiet: Bool, json: Bool) -> ProgressDisplay {
        if json { return ProgressDisplay(.json) }
        if quiet { return ProgressDisplay(.none) }
        return ProgressDisplay(Terminal.isTerminal(STDERR_FILENO) ? .bars : .lines)
    }

    /// The same for a push, and for what is written into an archive.
    func show(_ progress: PullProgress) { show(.progress(progress)) }

    func show(_ event: PullEvent) {
        switch style {
        case .none: return
        case .json: Output.line(event.json.text())
        case .lines, .bars:
            switch event {
            case .resolved(let image):
                Output.error(
                    "pulling \(image.reference) (\(image.manifestDigest.algorithm):\(image.manifestDigest.short))")
            case .progress(let progress): update(progress)
            case .finished: state.withLock { if style == .bars { draw(&$0) } }
            }
        }
    }

    private func update(_ progress: PullProgress) {
        state.withLock { state in
            let known = state.layers[progress.layer]
            if known == nil { state.order.append(progress.layer) }
            var layer = known ?? Layer(progress: progress, began: nil)
            let changed = known?.progress.phase != progress.phase
            layer.progress = progress
            if layer.began == nil, [.pulling, .sending].contains(progress.phase) { layer.began = clock.now }
            state.layers[progress.layer] = layer
            if style == .lines {
                guard changed, let line = Self.line(progress, wasSent: known?.progress.phase == .sending) else {
                    return
                }
                Output.error(line)
            } else if changed || state.lastDraw.map({ clock.now - $0 > .milliseconds(80) }) ?? true {
                draw(&state)
            }
        }
    }

    private static func line(_ progress: PullProgress, wasSent: Bool) -> String? {
        switch progress.phase {
        case .waiting, .verifying: nil
        case .sending:
            progress.received == 0 ? "\(progress.layer.short): sending \(HumanUnits.bytes(progress.total))" : nil
        case .pulling: "\(progress.layer.short): pulling \(HumanUnits.bytes(progress.total))"
        case .done where wasSent: "\(progress.layer.short): sent"
        case .done: "\(progress.layer.short): verified and unpacked"
        case .exists: "\(progress.layer.short): already there"
        }
    }

    private func draw(_ state: inout State) {
        var text = state.linesDrawn > 0 ? "\u{1B}[\(state.linesDrawn)A" : ""
        let width = Terminal.width(STDERR_FILENO)
        for digest in state.order {
            guard let layer = state.layers[digest] else { continue }
            text += "\r\u{1B}[2K" + bar(layer, width: width) + "\n"
        }
        state.linesDrawn = state.order.count
        state.lastDraw = clock.now
        Output.write(text, to: STDERR_FILENO)
    }

    private func bar(_ layer: Layer, width: Int) -> String {
        let progress = layer.progress
        let name = progress.layer.short
        switch progress.phase {
        case .waiting: return "\(name)  waiting"
        case .exists: return "\(name)  already there"
        case .done: return "\(name)  done  \(HumanUnits.bytes(progress.total))"
        case .verifying: return "\(name)  verifying"
        case .pulling, .sending:
            let seconds = layer.began.map { Self.seconds(clock.now - $0) } ?? 0
            let rate = seconds > 0 ? Double(progress.received) / seconds : 0
            let left = rate > 0 ? Double(progress.total - progress.received) / rate : .infinity
            let numbers =
                "\(HumanUnits.bytes(progress.received))/\(HumanUnits.bytes(progress.total))  "
                + "\(HumanUnits.bytes(Int64(rate)))/s  \(HumanUnits.clock(left)) left"
            let room = max(10, min(40, width - name.count - numbers.count - 8))
            let fraction = progress.total > 0 ? Double(progress.received) / Double(progress.total) : 0
            let filled = Int(Double(room) * min(1, fraction))
            let bar = String(repeating: "=", count: filled) + String(repeating: " ", count: room - filled)
            return "\(name)  [\(bar)]  \(numbers)"
        }
    }

    private static func seconds(_ duration: Duration) -> Double {
        let (seconds, attoseconds) = duration.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}

extension PullEvent {
    /// One object an event, for programs that read a pull.
    var json: JSON {
        switch self {
        case .resolved(let image):
            [
                "event": "resolved", "reference": .string(image.reference),
                "digest": .string(image.manifestDigest.description), "layers": .integer(Int64(image.layers.count)),
            ]
        case .progress(let progress):
            [
                "event": "layer", "digest": .string(progress.layer.description),
                "phase": .string(progress.phase.rawValue), "received": .integer(progress.received),
                "total": .integer(progress.total),
            ]
        case .finished(let pulled):
            [
                "event": "finished", "reference": .string(pulled.image.reference),
                "id": .string(pulled.image.config.description),
                "digest": .string(pulled.image.manifestDigest.description),
                "upToDate": .bool(pulled.wasUpToDate), "received": .integer(pulled.timing.received),
            ]
        }
    }
}
