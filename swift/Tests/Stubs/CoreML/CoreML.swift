// Stands in for Apple's framework where that is not; the signatures used, and nothing more.
import Foundation

public enum MLComputeUnits: Int, Sendable {
    case cpuOnly = 0
    case cpuAndGPU = 1
    case all = 2
    case cpuAndNeuralEngine = 3
}

open class MLModelConfiguration {
    public init() {}
    open var computeUnits: MLComputeUnits = .all
}

/// A model that "loads" when its folder has a `coremldata.bin` that says neither `unloadable` nor
/// `deadly`, which ends the program.
open class MLModel: @unchecked Sendable {
    fileprivate let folder: URL

    private init(_ folder: URL) {
        self.folder = folder
    }

    open class func load(
        contentsOf modelURL: URL, configuration: MLModelConfiguration
    ) async throws -> MLModel {
        guard let data = try? Data(contentsOf: modelURL.appendingPathComponent("coremldata.bin"))
        else { throw refusal("no coremldata.bin in \(modelURL.lastPathComponent)") }
        if data.range(of: Data("deadly".utf8)) != nil { abort() }
        if data.range(of: Data("unloadable".utf8)) != nil {
            throw refusal("Failed to build the model execution plan, error code: -14.")
        }
        return MLModel(modelURL)
    }

    open class func compileModel(at modelURL: URL) async throws -> URL {
        let source = modelURL.appendingPathComponent("Data/com.apple.CoreML/model.mlmodel")
        guard let data = try? Data(contentsOf: source) else { throw refusal("no model.mlmodel") }
        let output = FileManager.default.temporaryDirectory
            .appendingPathComponent("compiled-\(UUID().uuidString).mlmodelc")
        try FileManager.default.createDirectory(at: output, withIntermediateDirectories: true)
        try data.write(to: output.appendingPathComponent("coremldata.bin"))
        return output
    }

    private static func refusal(_ text: String) -> NSError {
        NSError(domain: "com.apple.CoreML", code: 0, userInfo: [NSLocalizedDescriptionKey: text])
    }
}

/// What the stand-ins "hear": the model's `config.json`, which neither framework reads, tells.
public enum Script {
    public static func folder(of model: MLModel) -> URL {
        model.folder.deletingLastPathComponent()
    }

    public static func says(_ folder: URL, of audio: URL) throws -> String {
        print("noise on standard output")
        let text = try? Data(contentsOf: folder.appendingPathComponent("config.json"))
        let script = text.flatMap { try? JSONSerialization.jsonObject(with: $0) } as? [String: Any]
        switch script?["do"] as? String {
        case "die": abort()
        case "hang": while true { sleep(1) }
        case "fail": throw NSError(domain: "stub", code: 7, userInfo: [:])
        default:
            let bytes = try Data(contentsOf: audio).count
            return script?["says"] as? String ?? "a clip of \(bytes) bytes"
        }
    }
}
