import BridgeKit
import Foundation

// Source of every signature: FluidInference/FluidAudio 0.15.6, quoted in `Tests/signatures.txt`.
#if canImport(FluidAudio)
    @preconcurrency import CoreML
    import FluidAudio

    /// FluidAudio, given models that we have opened.
    ///
    /// Its own loading is not used: `AsrModels.load` takes a folder's parent and a name of its own, and on
    /// any error deletes the model and downloads it again. What never runs cannot delete.
    final class FluidAudioEngine: Engine {
        let about = EngineFacts(
            layout: .fluidAudio, isLinked: true,
            folders: [MLModelConfigurationUtils.defaultModelsDirectory().path])
        private var prepared: Prepared?
        private var loaded: (manager: AsrManager, language: Language?)?

        private struct Prepared {
            let folder: ModelFolder
            let version: AsrModelVersion
            let vocabulary: [Int: String]
            let language: Language?
        }

        init() {
            ModelHub.offlineMode = true
        }

        func prepare(_ folder: ModelFolder, _ choice: ModelChoice) throws {
            prepared = Prepared(
                folder: folder, version: Self.version(folder.model.name),
                vocabulary: try Vocabulary.read(folder.files[0]),
                language: try Self.language(choice.language, of: folder.model))
        }

        func load() async throws {
            guard let prepared else { preconditionFailure("not prepared") }
            let (folder, version) = (prepared.folder, prepared.version)
            let models = AsrModels(
                encoder: version.hasFusedEncoder ? nil : try await open(folder, "Encoder"),
                preprocessor: try await open(folder, "Preprocessor"),
                decoder: try await open(folder, "Decoder"),
                joint: try await open(folder, "Joint"),
                configuration: AsrModels.defaultConfiguration(),
                vocabulary: prepared.vocabulary,
                version: version)
            let config = ASRConfig(
                tdtConfig: TdtConfig(blankId: version.blankId),
                encoderHiddenSize: version.encoderHiddenSize)
            let manager = AsrManager(config: config)
            try await manager.loadModels(models)
            loaded = (manager, prepared.language)
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

        /// Opens the one bundle whose role has this prefix, on the units that FluidAudio gives it.
        private func open(_ folder: ModelFolder, _ role: String) async throws -> MLModel {
            guard let bundle = folder.bundles.first(where: { $0.role.hasPrefix(role) }) else {
                preconditionFailure("every transducer has a \(role)")
            }
            return try await MLModel.load(URL(fileURLWithPath: bundle.path), bundle.units)
        }

        private static func version(_ model: String) -> AsrModelVersion {
            switch model {
            case "parakeet-tdt-0.6b-v2": .v2
            case "parakeet-tdt-ctc-110m": .tdtCtc110m
            case "parakeet-ja": .tdtJa
            default: .v3
            }
        }

        /// The hint that FluidAudio takes: `nil` if none was given, or if the model knows only one
        /// language and that was named.
        private static func language(_ code: String?, of model: Layout.Model) throws -> Language? {
            guard let code else { return nil }
            if let only = model.language {
                guard code == only else {
                    throw BridgeError(
                        .usage, "`\(model.name)` transcribes only `\(only)`, not `\(code)`",
                        hint: "leave the language out, or name `\(only)`")
                }
                return nil
            }
            guard let known = Language(rawValue: code) else {
                let all = Language.allCases.map(\.rawValue).sorted().joined(separator: ", ")
                throw BridgeError(
                    .usage, "FluidAudio has no language `\(code)`", hint: "one of \(all)")
            }
            return known
        }
    }
#else

    /// FluidAudio on systems where it cannot be built.
    struct FluidAudioEngine: Engine {
        let about = EngineFacts(
            layout: .fluidAudio, isLinked: false, folders: [])

        func prepare(_ folder: ModelFolder, _ choice: ModelChoice) throws {
            throw BridgeError.needsMac
        }

        func load() async throws {
            throw BridgeError.needsMac
        }

        func transcribe(_ path: String) async throws -> Transcript {
            throw BridgeError.needsMac
        }
    }
#endif
