import Foundation
import Testing

@testable import BridgeKit

/// Puts whole bundles of these names, and files, into a folder.
private func fill(_ folder: URL, bundles: [String], files: [String] = []) throws {
    let whole = try #require(Table.shared.cases.first { $0.name == "whole: program" })
    for name in bundles { try whole.build(folder.appendingPathComponent(name + ".mlmodelc")) }
    for name in files {
        try write(Array("{\"0\": \"a\"}".utf8), folder.appendingPathComponent(name))
    }
}

private let v3 = ["Preprocessor", "Encoder", "Decoder", "JointDecisionv3"]
private let whisper = ["MelSpectrogram", "AudioEncoder", "TextDecoder"]

private func code(_ body: () throws -> Void) -> ErrorCode? {
    do {
        try body()
        return nil
    } catch {
        return BridgeError.wrapping(error).code
    }
}

@Suite struct ModelFolderTests {
    @Test func theFolderItselfOrTheOnlyOneBelow() throws {
        try withFolder { folder in
            let model = folder.appendingPathComponent("parakeet-tdt-0.6b-v3")
            try fill(model, bundles: v3, files: ["parakeet_vocab.json"])
            for path in [model.path, folder.path, model.path + "/"] {
                let found = try ModelFolder(path: path, layout: .fluidAudio)
                #expect(found.path == model.path)
                #expect(found.model == "parakeet-tdt-0.6b-v3")
                try found.requireWhole()
            }
            try fill(folder.appendingPathComponent("other"), bundles: v3)
            #expect(
                code { _ = try ModelFolder(path: folder.path, layout: .fluidAudio) }
                    == .severalModels)
        }
    }

    @Test func theKindIsToldByNameThenByContent() throws {
        try withFolder { folder in
            for (name, bundles, kind) in [
                (
                    "parakeet-tdt-0.6b-v2",
                    ["Preprocessor", "Encoder", "Decoder", "JointDecision"], "parakeet-tdt-0.6b-v2"
                ),
                (
                    "mine", ["Preprocessor", "Encoder", "Decoder", "JointDecision"],
                    "parakeet-tdt-0.6b-v2"
                ),
                ("mine", v3, "parakeet-tdt-0.6b-v3"),
                ("mine", ["Preprocessor", "Decoder", "JointDecision"], "parakeet-tdt-ctc-110m"),
                ("mine", ["Preprocessor", "Encoder", "Decoderv2", "Jointerv2"], "parakeet-ja"),
                ("parakeet-tdt-0.6b-v3-coreml", ["Encoder"], "parakeet-tdt-0.6b-v3"),
            ] {
                let model = folder.appendingPathComponent(UUID().uuidString).appendingPathComponent(
                    name)
                try fill(model, bundles: bundles)
                #expect(try ModelFolder(path: model.path, layout: .fluidAudio).model == kind)
            }
        }
    }

    @Test func theWrongFolderIsNamed() throws {
        try withFolder { folder in
            let found = { (layout: Layout) in
                code { _ = try ModelFolder(path: folder.path, layout: layout) }
            }
            #expect(found(.whisperKit) == .noModel)
            try fill(folder, bundles: whisper)
            #expect(found(.whisperKit) == nil)
            #expect(found(.fluidAudio) == .otherEngine)
            #expect(code { _ = try ModelFolder(path: "/nowhere", layout: .whisperKit) } == .missing)
            #expect(
                code { _ = try ModelFolder(path: "/etc/passwd", layout: .whisperKit) }
                    == .notAFolder)
        }
    }

    @Test func aPartThatIsNotWholeIsNamed() throws {
        try withFolder { folder in
            try fill(folder, bundles: whisper)
            let model = try ModelFolder(path: folder.path, layout: .whisperKit)
            try model.requireWhole()
            let weights = folder.appendingPathComponent("AudioEncoder.mlmodelc/weights/weight.bin")
            try write([UInt8](try Data(contentsOf: weights)).dropLast(1).map { $0 }, weights)
            #expect(code { try model.requireWhole() } == .brokenBundle)
            #expect(try model.faults().map(\.name) == ["AudioEncoder.mlmodelc"])
            try FileManager.default.removeItem(
                at: folder.appendingPathComponent("TextDecoder.mlmodelc"))
            #expect(
                try model.faults().map(\.name) == ["AudioEncoder.mlmodelc", "TextDecoder.mlmodelc"])
        }
    }

    @Test func theTokenizerIsFoundWhereTheFrameworkLooks() throws {
        try withFolder { folder in
            let base = folder.appendingPathComponent("huggingface/models")
            let model = base.appendingPathComponent(
                "argmaxinc/whisperkit-coreml/openai_whisper-tiny.en")
            try fill(model, bundles: whisper)
            let find = { try Tokenizer.find(model: model.path, given: nil) }
            #expect(code { _ = try find() } == .missingTokenizer)
            let parts = ["tokenizer.json", "tokenizer_config.json"]
            let nested = model.appendingPathComponent("models/openai/whisper-tiny.en")
            let hub = base.appendingPathComponent("openai/whisper-tiny.en")
            for place in [model, nested, hub] {
                try fill(place, bundles: [], files: parts)
            }
            #expect(try find() == hub.path)
            try write(Array("<html>".utf8), hub.appendingPathComponent(parts[1]))
            #expect(try find() == model.path)
            try write([], model.appendingPathComponent(parts[0]))
            #expect(try find() == nested.path)
            #expect(try Tokenizer.find(model: "/m/mine", given: nested.path) == nested.path)
            let hubFolder = folder.appendingPathComponent("huggingface").path
            try fill(hub, bundles: [], files: parts)
            #expect(try Tokenizer.find(model: model.path, given: hubFolder) == hub.path)
            #expect(
                code { _ = try Tokenizer.find(model: "/m/mine", given: hubFolder) }
                    == .missingTokenizer)
        }
    }

    @Test func aVocabularyIsAListOrATable() throws {
        try withFolder { folder in
            let file = folder.appendingPathComponent("vocab.json")
            for (text, read) in [
                ("[\"a\", \"b\"]", [0: "a", 1: "b"]), ("{\"7\": \"a\", \"x\": \"b\"}", [7: "a"]),
            ] {
                try write(Array(text.utf8), file)
                #expect(try Vocabulary.read(file.path) == read)
            }
            for text in ["", "{}", "[]", "[1]", "{\"a\": 1}", "<html>", "{\"7\": \"a\"", "null"] {
                try write(Array(text.utf8), file)
                #expect(code { _ = try Vocabulary.read(file.path) } == .brokenBundle)
            }
        }
    }
}
