import BridgeKit
import Foundation

// Source of every signature: FluidInference/FluidAudio 0.15.5, quoted in `Tests/signatures.txt`.
#if canImport(FluidAudio)
    @preconcurrency import CoreML
    import FluidAudio

    /// FluidAudio, given models that were opened here.
    ///
    /// Its own loading is not used: `AsrModels.load` takes a folder's parent and a name of its own, and on
    /// any error deletes the model and downloads it again. What never runs cannot delete.
    final class FluidAudioEngine: Engine {
        let about = EngineFacts(
            layout: .fluidAudio, version: "0.15.5", isLinked: true,
            folders: [MLModelConfigurationUtils.defaultModelsDirectory().path])
        private var loaded: (manager: AsrManager, language: Language?)?

        init() {
            ModelHub.offlineMode = true
        }

        func load(_ folder: ModelFolder, _ choice: ModelChoice) async throws {
            let language = try Self.language(choice.language)
            let version = Self.version(folder.model)
            let configuration = AsrModels.defaultConfiguration()
            let models = AsrModels(
                encoder: version.hasFusedEncoder
                    ? nil : try await open(folder, "Encoder", configuration.computeUnits),
                preprocessor: try await open(
                    // the split front end's preprocessor runs on the CPU alone in `AsrModels.load`, too
                    folder, "Preprocessor",
                    version.hasFusedEncoder ? configuration.computeUnits : .cpuOnly),
                decoder: try await open(folder, "Decoder", configuration.computeUnits),
                joint: try await open(folder, "Joint", configuration.computeUnits),
                configuration: configuration,
                vocabulary: try Vocabulary.read(folder.files[0]),
                version: version)
            let config = ASRConfig(
                tdtConfig: TdtConfig(blankId: version.blankId),
                encoderHiddenSize: version.encoderHiddenSize)
            let manager = AsrManager(config: config)
            try await manager.loadModels(models)
            loaded = (manager, language)
        }

        func transcribe(_ path: String) async throws -> Transcript {
            guard let (manager, language) = loaded else {
                preconditionFailure("no model was loaded")
            }
            var state = TdtDecoderState.make(decoderLayers: await manager.decoderLayerCount)
            let result = try await manager.transcribe(
                URL(fileURLWithPath: path), decoderState: &state, language: language)
            let words = buildWordTimings(from: result.tokenTimings ?? [])
            return Transcript(
                text: result.text, language: language?.rawValue,
                segments: words.map { .init(start: $0.startTime, end: $0.endTime, text: $0.word) })
        }

        /// Opens the one bundle whose name begins so.
        private func open(
            _ folder: ModelFolder, _ name: String, _ units: MLComputeUnits
        ) async throws -> MLModel {
            guard
                let path = folder.bundles.first(where: { bundle in
                    URL(fileURLWithPath: bundle).lastPathComponent.hasPrefix(name)
                })
            else { preconditionFailure("every layout has a \(name)") }
            let configuration = AsrModels.defaultConfiguration()
            configuration.computeUnits = units
            return try await MLModel.load(
                contentsOf: URL(fileURLWithPath: path), configuration: configuration)
        }

        private static func version(_ model: String) -> AsrModelVersion {
            switch model {
            case "parakeet-tdt-0.6b-v2": .v2
            case "parakeet-tdt-ctc-110m": .tdtCtc110m
            case "parakeet-ja": .tdtJa
            default: .v3
            }
        }

        private static func language(_ code: String?) throws -> Language? {
            guard let code else { return nil }
            guard let known = Language(rawValue: code) else {
                throw BridgeError(
                    .usage, "FluidAudio has no language `\(code)`",
                    hint:
                        "one of \(Language.allCases.map(\.rawValue).sorted().joined(separator: ", "))"
                )
            }
            return known
        }
    }
#else

    /// FluidAudio where it cannot be built.
    struct FluidAudioEngine: Engine {
        let about = EngineFacts(
            layout: .fluidAudio, version: "0.15.5", isLinked: false, folders: [])

        func load(_ folder: ModelFolder, _ choice: ModelChoice) async throws {
            throw BridgeError.needsMac
        }

        func transcribe(_ path: String) async throws -> Transcript {
            throw BridgeError.needsMac
        }
    }
#endif
