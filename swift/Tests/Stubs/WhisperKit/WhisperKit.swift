// Stands in for argmaxinc/argmax-oss-swift 1.1.0; the signatures used, and nothing more.
import CoreML
import Foundation

public protocol AudioProcessing {}
public protocol FeatureExtracting {}
public protocol AudioEncoding {}
public protocol TextDecoding {}
public protocol LogitsFiltering {}
public protocol SegmentSeeking {}
open class VoiceActivityDetector: @unchecked Sendable {}
public struct ModelComputeOptions: Sendable {}
public struct AudioInputOptions: Sendable {}
public struct TranscriptionProgress: Sendable {}
public typealias TranscriptionCallback = @Sendable (TranscriptionProgress) -> Bool?

public final class Logging: Sendable {
    public enum LogLevel: Int, Comparable, Sendable {
        case debug = 1
        case info = 2
        case error = 3
        case none = 4

        public static func < (lhs: LogLevel, rhs: LogLevel) -> Bool { lhs.rawValue < rhs.rawValue }
    }
}

public enum Constants {
    public static let maxTokenContext = Int(448 / 2)
}

public enum DecodingTask: Codable, CustomStringConvertible, CaseIterable, Sendable {
    case transcribe
    case translate

    public var description: String { self == .transcribe ? "transcribe" : "translate" }
}

public enum ChunkingStrategy: String, Codable, CaseIterable {
    case none
    case vad
}

open class WhisperKitConfig {
    public var modelFolder: String?
    public var tokenizerFolder: URL?
    public var download: Bool

    public init(model: String? = nil,
                downloadBase: URL? = nil,
                modelRepo: String? = nil,
                modelToken: String? = nil,
                modelEndpoint: String? = nil,
                modelFolder: String? = nil,
                tokenizerFolder: URL? = nil,
                computeOptions: ModelComputeOptions? = nil,
                audioInputConfig: AudioInputOptions? = nil,
                audioProcessor: (any AudioProcessing)? = nil,
                featureExtractor: (any FeatureExtracting)? = nil,
                audioEncoder: (any AudioEncoding)? = nil,
                textDecoder: (any TextDecoding)? = nil,
                logitsFilters: [any LogitsFiltering]? = nil,
                segmentSeeker: (any SegmentSeeking)? = nil,
                voiceActivityDetector: VoiceActivityDetector? = nil,
                verbose: Bool = true,
                logLevel: Logging.LogLevel = .info,
                prewarm: Bool? = nil,
                load: Bool? = nil,
                download: Bool = true,
                useBackgroundDownloadSession: Bool = false)
    {
        self.modelFolder = modelFolder
        self.tokenizerFolder = tokenizerFolder
        self.download = download
    }
}

public struct DecodingOptions: Codable, Sendable {
    public init(
        verbose: Bool = false,
        task: DecodingTask = .transcribe,
        language: String? = nil,
        temperature: Float = 0.0,
        temperatureIncrementOnFallback: Float = 0.2,
        temperatureFallbackCount: Int = 5,
        sampleLength: Int = Constants.maxTokenContext,
        topK: Int = 5,
        usePrefillPrompt: Bool = true,
        detectLanguage: Bool? = nil,
        skipSpecialTokens: Bool = false,
        withoutTimestamps: Bool = false,
        wordTimestamps: Bool = false,
        maxInitialTimestamp: Float? = nil,
        maxWindowSeek: Int? = nil,
        clipTimestamps: [Float] = [],
        windowClipTime: Float = 1.0,
        promptTokens: [Int]? = nil,
        prefixTokens: [Int]? = nil,
        suppressBlank: Bool = false,
        suppressTokens: [Int]? = nil,
        compressionRatioThreshold: Float? = 2.4,
        logProbThreshold: Float? = -1.0,
        firstTokenLogProbThreshold: Float? = -1.5,
        noSpeechThreshold: Float? = 0.6,
        concurrentWorkerCount: Int? = nil,
        chunkingStrategy: ChunkingStrategy? = nil
    ) {}
}

public struct TranscriptionSegment: Hashable, Codable, Sendable {
    public var start: Float
    public var end: Float
    public var text: String
}

open class TranscriptionResult: Codable, @unchecked Sendable {
    public var text: String
    public var segments: [TranscriptionSegment]
    public var language: String

    fileprivate init(_ text: String) {
        self.text = text
        segments = [TranscriptionSegment(start: 0, end: 1.5, text: text)]
        language = "en"
    }
}

/// Loads its bundles through Core ML; without a tokenizer, or with a hub, it would go to the network.
open class WhisperKit {
    private let folder: URL

    public init(_ config: WhisperKitConfig = WhisperKitConfig()) async throws {
        guard let model = config.modelFolder, let tokenizer = config.tokenizerFolder,
            FileManager.default.fileExists(atPath: tokenizer.path + "/tokenizer.json"),
            !config.download,
            ProcessInfo.processInfo.environment["HF_ENDPOINT"] == "http://127.0.0.1:9"
        else { throw URLError(.cannotConnectToHost) }
        folder = URL(fileURLWithPath: model)
        for name in ["MelSpectrogram", "TextDecoder", "AudioEncoder"] {
            _ = try await MLModel.load(
                contentsOf: folder.appendingPathComponent(name + ".mlmodelc"),
                configuration: MLModelConfiguration())
        }
    }

    open func transcribe(
        audioPath: String,
        audioInputOptions: AudioInputOptions? = nil,
        decodeOptions: DecodingOptions? = nil,
        callback: TranscriptionCallback? = nil
    ) async throws -> [TranscriptionResult] {
        [TranscriptionResult(try Script.says(folder, of: URL(fileURLWithPath: audioPath)))]
    }
}
