import BridgeKit
import Foundation

// Source of every signature: argmaxinc/argmax-oss-swift 1.0.0, quoted in `Tests/signatures.txt`.
#if canImport(WhisperKit)
    import WhisperKit

    /// WhisperKit, given a model folder and a tokenizer folder, so that it has nothing to download.
    final class WhisperKitEngine: Engine {
        let about = EngineFacts(
            layout: .whisperKit, version: "1.0.0", isLinked: true, folders: WhisperKitEngine.folders
        )
        private var loaded: (kit: WhisperKit, language: String?)?

        func load(_ folder: ModelFolder, _ choice: ModelChoice) async throws {
            let tokenizer = try Tokenizer.find(model: folder.path, given: choice.tokenizerFolder)
            let config = WhisperKitConfig(
                modelFolder: folder.path, tokenizerFolder: URL(fileURLWithPath: tokenizer),
                verbose: false, logLevel: .none, prewarm: false, load: true, download: false)
            loaded = (try await WhisperKit(config), choice.language)
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

    /// WhisperKit where it cannot be built.
    struct WhisperKitEngine: Engine {
        let about = EngineFacts(layout: .whisperKit, version: "1.0.0", isLinked: false, folders: [])

        func load(_ folder: ModelFolder, _ choice: ModelChoice) async throws {
            throw BridgeError.needsMac
        }

        func transcribe(_ path: String) async throws -> Transcript {
            throw BridgeError.needsMac
        }
    }
#endif
