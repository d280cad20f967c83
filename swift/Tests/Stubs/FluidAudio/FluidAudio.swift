// Stands in for FluidInference/FluidAudio 0.15.6; the signatures used, and nothing more.
import CoreML
import Foundation

public enum ModelHub {
    nonisolated(unsafe) private static var offline = false

    public static var offlineMode: Bool {
        get { offline }
        set { offline = newValue }
    }
}

public enum MLModelConfigurationUtils {
    public static func defaultModelsDirectory(for repo: Repo? = nil) -> URL {
        URL(fileURLWithPath: NSHomeDirectory() + "/Library/Application Support/FluidAudio/Models")
    }
}

public enum Repo: String, CaseIterable, Sendable {
    case parakeetV3
}

public enum Language: String, Sendable, CaseIterable {
    case english = "en"
    case german = "de"
}

public enum AsrModelVersion: Sendable {
    case v2
    case v3
    case tdtCtc110m
    case tdtJa

    public var hasFusedEncoder: Bool { self == .tdtCtc110m }
    public var encoderHiddenSize: Int { self == .tdtCtc110m ? 512 : 1024 }
    public var blankId: Int {
        switch self {
        case .v2, .tdtCtc110m: 1024
        case .v3: 8192
        case .tdtJa: 3072
        }
    }
}

/// Refuses to be made unless the framework was taken off the network first.
public struct AsrModels: Sendable {
    fileprivate let folder: URL

    public init(
        encoder: MLModel?,
        preprocessor: MLModel,
        decoder: MLModel,
        joint: MLModel,
        ctcHead: MLModel? = nil,
        configuration: MLModelConfiguration,
        vocabulary: [Int: String],
        version: AsrModelVersion
    ) {
        precondition(ModelHub.offlineMode, "it would download, and delete what does not load")
        precondition((encoder == nil) == version.hasFusedEncoder && !vocabulary.isEmpty)
        folder = Script.folder(of: joint)
    }

    public static func defaultConfiguration() -> MLModelConfiguration {
        let configuration = MLModelConfiguration()
        configuration.computeUnits = .cpuAndNeuralEngine
        return configuration
    }
}

public struct TdtConfig: Sendable {
    public init(
        includeTokenDuration: Bool = true,
        maxSymbolsPerStep: Int = 10,
        durationBins: [Int] = [0, 1, 2, 3, 4],
        blankId: Int = 8192,
        boundarySearchFrames: Int = 20,
        maxTokensPerChunk: Int = 150,
        consecutiveBlankLimit: Int = 5
    ) {}

    public static let `default` = TdtConfig()
}

public enum ASRConstants {
    public static let encoderHiddenSize: Int = 1024
}

public struct ASRConfig: Sendable {
    public init(
        sampleRate: Int = 16000,
        tdtConfig: TdtConfig = .default,
        encoderHiddenSize: Int = ASRConstants.encoderHiddenSize,
        parallelChunkConcurrency: Int = 4,
        streamingEnabled: Bool = true,
        streamingThreshold: Int = 480_000,
        melChunkContext: Bool = true,
        dualDecodeArbitration: Bool = false,
        seamGapRepair: Bool = true,
        seamGapRepairMinGapSeconds: Double = 1.5
    ) {}

    public static let `default` = ASRConfig()
}

public struct TdtDecoderState: Sendable {
    public static func make(decoderLayers: Int = 2) -> TdtDecoderState { TdtDecoderState() }
}

public struct TokenTiming: Codable, Sendable {
    public let token: String
    public let startTime: TimeInterval
    public let endTime: TimeInterval
}

public struct WordTiming: Codable, Sendable {
    public let word: String
    public let startTime: TimeInterval
    public let endTime: TimeInterval
}

public func buildWordTimings(from tokenTimings: [TokenTiming]) -> [WordTiming] {
    tokenTimings.map { WordTiming(word: $0.token, startTime: $0.startTime, endTime: $0.endTime) }
}

public struct ASRResult: Codable, Sendable {
    public let text: String
    public let tokenTimings: [TokenTiming]?
}

public actor AsrManager {
    private var folder: URL?

    public init(config: ASRConfig = .default, models: AsrModels? = nil) {
        folder = models?.folder
    }

    public var decoderLayerCount: Int { 2 }

    public func loadModels(_ models: AsrModels) async throws {
        folder = models.folder
    }

    public func transcribe(
        _ url: URL, decoderState: inout TdtDecoderState, language: Language? = nil
    ) async throws -> ASRResult {
        guard let folder else { throw URLError(.resourceUnavailable) }
        let text = try Script.says(folder, of: url)
        return ASRResult(
            text: text, tokenTimings: [TokenTiming(token: text, startTime: 0, endTime: 1.5)])
    }
}
