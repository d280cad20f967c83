import Foundation

/// The folder of a tokenizer that WhisperKit can load without a network.
///
/// WhisperKit has no offline switch: a tokenizer that is missing or does not load sends it to the hub.
/// So we find it first, where 1.1.0 itself looks and in that order, and pass its folder.
/// Source: argmaxinc/argmax-oss-swift 1.1.0 `ModelUtilities.swift` `loadTokenizer`.
public enum Tokenizer {
    private static let files = ["tokenizer.json", "tokenizer_config.json"]
    private static let sizes = [
        "large-v3", "large-v2", "large", "medium.en", "medium", "small.en", "small", "base.en",
        "base", "tiny.en", "tiny",
    ]

    /// Returns the first folder with both files, each of them whole JSON; throws `missing-tokenizer`.
    ///
    /// Looks by name only for folders whose name tells the size: a tokenizer of another size would
    /// turn words into nonsense.
    public static func find(model: String, given: String?) throws -> String {
        let name = size(of: model).map { "openai/whisper-\($0)" }
        let base = given ?? model
        var places = [base]
        if let name {
            places.insert(base + "/models/" + name, at: given == nil ? 1 : 0)
            if given == nil {
                let hub = URL(fileURLWithPath: model + "/../../../" + name)
                places.insert(hub.standardizedFileURL.path, at: 0)
            }
        }
        if let place = places.first(where: isWhole) { return place }
        throw BridgeError(
            .missingTokenizer,
            "no complete tokenizer for `\(name ?? "this model")` in \(quoted(places))",
            hint: "`--tokenizer-dir DIR` names a folder with \(files.joined(separator: " and "))")
    }

    private static func size(of model: String) -> String? {
        let folder = URL(fileURLWithPath: model).lastPathComponent
        return sizes.first { folder.firstRange(of: "-" + $0) != nil }
    }

    private static func isWhole(_ folder: String) -> Bool {
        files.allSatisfy { isJSON(folder + "/" + $0, object: true) }
    }

    private static func quoted(_ places: [String]) -> String {
        places.map { "`\($0)`" }.joined(separator: ", ")
    }
}
