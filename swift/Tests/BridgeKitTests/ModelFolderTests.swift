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
                #expect(found.model.name == "parakeet-tdt-0.6b-v3")
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
                #expect(try ModelFolder(path: model.path, layout: .fluidAudio).model.name == kind)
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

    @Test func anAlternativeTakesAPartsPlace() throws {
        try withFolder { folder in
            let model = folder.appendingPathComponent("parakeet-tdt-0.6b-v3")
            try fill(
                model, bundles: v3.filter { $0 != "Encoder" } + ["EncoderInt4"],
                files: ["parakeet_vocab.json"])
            let small = try ModelFolder(path: model.path, layout: .fluidAudio)
            try small.requireWhole()
            #expect(small.bundles.map(\.name).contains("EncoderInt4.mlmodelc"))
            #expect(small.bundles.map(\.role).contains("Encoder"))
            #expect(small.others == [])
            try fill(model, bundles: ["Encoder", "Encoder_v2"])
            let both = try ModelFolder(path: model.path, layout: .fluidAudio)
            #expect(both.bundles.map(\.name).contains("Encoder.mlmodelc"))
            #expect(both.others.map(\.name) == ["EncoderInt4.mlmodelc", "Encoder_v2.mlmodelc"])
            #expect(
                both.bundles.map(\.units) == [
                    .cpuOnly, .cpuAndNeuralEngine, .cpuAndNeuralEngine, .cpuAndNeuralEngine,
                ])
        }
    }

    @Test func aFolderTwoNamesDeepAndBundlesInFolders() throws {
        try withFolder { folder in
            let deep = folder.appendingPathComponent("nemotron-multilingual/latin/560ms")
            try fill(
                deep, bundles: ["encoder", "decoder", "joint"],
                files: ["tokenizer.json", "metadata.json"])
            let found = try ModelFolder(path: deep.path, layout: .fluidAudio)
            #expect(found.model.name == "nemotron-multilingual-latin-560ms")
            #expect(
                found.bundles.map(\.name) == [
                    "encoder.mlmodelc", "decoder.mlmodelc", "decoder.mlmodelc", "joint.mlmodelc",
                ])
            let sorted = folder.appendingPathComponent("sortformer")
            try fill(sorted, bundles: ["v3/fp16/Sortformer_v2"])
            let one = try ModelFolder(path: sorted.path, layout: .fluidAudio)
            #expect(one.bundles.map(\.units) == [.all])
            try one.requireWhole()
            let two = folder.appendingPathComponent("speaker-diarization")
            try fill(
                two, bundles: ["Segmentation", "FBank", "Embedding", "PldaRho"],
                files: ["plda-parameters.json"])
            let offline = try ModelFolder(path: two.path, layout: .fluidAudio)
            #expect(offline.model.name == "speaker-diarization-offline")
            #expect(try offline.problems().map(\.name) == ["plda-parameters.json"])
        }
    }

    @Test func whatLiesBesideTheBundlesIsRead() throws {
        try withFolder { folder in
            let model = folder.appendingPathComponent("parakeet-tdt-0.6b-v2")
            try fill(model, bundles: v3, files: ["parakeet_vocab.json"])
            let found = try ModelFolder(path: model.path, layout: .fluidAudio)
            #expect(try found.problems().allSatisfy { $0.problem == nil })
            let file = model.appendingPathComponent("parakeet_vocab.json")
            try write(Array("[1, 2]".utf8), file)
            #expect(try found.problems()[0].problem?.code == .brokenBundle)
            try FileManager.default.removeItem(at: file)
            #expect(try found.problems()[0].problem?.message.hasSuffix("is missing") == true)
            let eou = folder.appendingPathComponent("parakeet-eou-streaming/160ms")
            try fill(
                eou, bundles: ["streaming_encoder", "decoder", "joint_decision"],
                files: ["vocab.json"])
            let streaming = try ModelFolder(path: eou.path, layout: .fluidAudio)
            #expect(try streaming.problems().allSatisfy { $0.problem == nil })
            try write(Array("{".utf8), eou.appendingPathComponent("vocab.json"))
            #expect(try streaming.problems()[0].problem?.message.hasSuffix("is not JSON") == true)
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
