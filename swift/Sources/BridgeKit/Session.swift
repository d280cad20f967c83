import Foundation

/// A model that stays loaded from one recording to the next.
final class Session {
    private let engine: any Engine
    private var loadTime: Double?
    private var runs = 0

    init(_ engine: any Engine) {
        self.engine = engine
    }

    /// Loads a model in place of the previous one; returns how many seconds that took.
    func load(_ choice: ModelChoice) async throws -> Double {
        loadTime = nil
        runs = 0
        let folder = try ModelFolder(
            path: choice.folder, layout: engine.about.layout, model: choice.model)
        guard folder.model.isTranscribed else {
            throw BridgeError(
                .checkOnly, "`\(folder.model.name)` can only be checked, not used to transcribe",
                hint: "`check --model-dir DIR` loads its bundles")
        }
        try folder.requireWhole()
        try engine.prepare(folder, choice)
        let start = ContinuousClock.now
        try await engine.load()
        let time = start.duration(to: .now) / .seconds(1)
        loadTime = time
        return time
    }

    /// Transcribes one recording.
    func transcribe(_ wave: Wave) async throws -> [String: JSON] {
        guard let loadTime else {
            throw BridgeError(.notLoaded, "no model is loaded", hint: "request `load` first")
        }
        let start = ContinuousClock.now
        let transcript = try await engine.transcribe(wave.path)
        let time = start.duration(to: .now) / .seconds(1)
        runs += 1
        return [
            "text": .string(transcript.text),
            "language": transcript.language.map(JSON.string) ?? .null,
            "segments": .array(transcript.segments.map(Self.json)),
            "transcription_time": .seconds(time),
            "load_time": .seconds(loadTime),
            "audio_seconds": .seconds(wave.seconds),
            "run": .integer(runs),
            "engine": .string(engine.about.layout.engine),
            "engine_version": .string(engine.about.layout.version),
            "peak_bytes": Machine.peakBytes,
        ]
    }

    private static func json(_ segment: Transcript.Segment) -> JSON {
        [
            "start": .seconds(segment.start), "end": .seconds(segment.end),
            "text": .string(segment.text),
        ]
    }
}
