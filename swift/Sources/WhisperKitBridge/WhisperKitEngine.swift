import BridgeKit
import Foundation

// Source of every signature: argmaxinc/argmax-oss-swift 1.1.0, quoted in `Tests/signatures.txt`.
#if canImport(WhisperKit)
    import WhisperKit

    /// WhisperKit, given a model folder and a tokenizer folder, so that it has nothing to download.
    final class WhisperKitEngine: Engine {
        let about = EngineFacts(
            layout: .whisperKit, isLinked: true, folders: WhisperKitEngine.folders)
        private var prepared: (config: WhisperKitConfig, language: String?)?
        private var loaded: (kit: WhisperKit, language: String?)?

        func prepare(_ folder: ModelFolder, _ choice: ModelChoice) throws {
            let tokenizer = try Tokenizer.find(model: folder.path, given: choice.tokenizerFolder)
            let config = WhisperKitConfig(
                modelFolder: folder.path, tokenizerFolder: URL(fileURLWithPath: tokenizer),
                verbose: false, logLevel: .none, prewarm: false, load: true, download: false)
            prepared = (config, choice.language)
        }

        func load() async throws {
            guard let (config, language) = prepared else { preconditionFailure("not prepared") }
            loaded = (try await WhisperKit(config), language)
        }

        /// A missing or broken tokenizer sends WhisperKit to the network.
        func problems(
            _ folder: ModelFolder, _ choice: ModelChoice
        ) throws -> [(name: String, problem: BridgeError?)] {
            do {
                _ = try Tokenizer.find(model: folder.path, given: choice.tokenizerFolder)
                return try folder.problems() + [("tokenizer.json", nil)]
            } catch let error as BridgeError where error.code == .missingTokenizer {
                return try folder.problems() + [("tokenizer.json", error)]
            }
        }

        func transcribe(_ path: String) async throws -> Transcript {
            guard let (kit, language) = loaded else { preconditionFailure("no model was loaded") }
            let options = DecodingOptions(
                language: language, detectLanguage: language == nil, skipSpecialTokens: true)
            let results: [TranscriptionResult] = try await kit.transcribe(
                audioPath: path, decodeOptions: options)
            return Transcript(
                text: results.map(\.text).joined(separator: " "),
                language: results.first?.language,
                segments: results.flatMap(\.segments).map {
                    .init(start: Double($0.start), end: Double($0.end), text: $0.text)
                })
        }

        /// Source: `HubApi.swift`: `huggingface` in the user's documents, unless told otherwise.
        private static var folders: [String] {
            FileManager.default.urls(for: .documentDirectory, in: .userDomainMask).map {
                $0.appendingPathComponent("huggingface/models/argmaxinc/whisperkit-coreml").path
            }
        }
    }
#else

    /// WhisperKit on systems where it cannot be built.
    struct WhisperKitEngine: Engine {
        let about = EngineFacts(layout: .whisperKit, isLinked: false, folders: [])

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
