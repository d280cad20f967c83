import Foundation

/// A model that stays loaded from one recording to the next.
final class Session {
    private let bridge: Bridge
    private let arguments: Arguments
    private var loadTime: Double?
    private var runs = 0

    init(_ bridge: Bridge, _ arguments: Arguments) {
        self.bridge = bridge
        self.arguments = arguments
    }

    /// Loads the model if it is not loaded yet; returns how long that took when it was.
    func load() async throws -> Double {
        if let loadTime { return loadTime }
        let engine = bridge.engine
        let folder = try ModelFolder(
            path: arguments.modelFolder, layout: engine.about.layout, model: arguments.model)
        try folder.requireWhole()
        let start = ContinuousClock.now
        try await engine.load(folder, arguments)
        let time = start.duration(to: .now) / .seconds(1)
        loadTime = time
        return time
    }

    /// Transcribes one recording; the first one loads the model.
    func transcribe(_ path: String) async throws -> [String: JSON] {
        let wave = try Wave(path: path)
        let loaded = try await load()
        let start = ContinuousClock.now
        let transcript = try await bridge.engine.transcribe(path)
        let time = start.duration(to: .now) / .seconds(1)
        runs += 1
        return [
            "text": .string(transcript.text),
            "language": transcript.language.map(JSON.string) ?? .null,
            "segments": .array(transcript.segments.map(Self.json)),
            "transcription_time": .seconds(time),
            "load_time": .seconds(loaded),
            "audio_seconds": .seconds(wave.seconds),
            "run": .integer(runs),
            "engine": bridge.engine.about.json,
        ]
    }

    private static func json(_ segment: Transcript.Segment) -> JSON {
        [
            "start": .seconds(segment.start), "end": .seconds(segment.end),
            "text": .string(segment.text),
        ]
    }
}
