import Foundation

/// What a Parakeet model's tokens stand for.
public enum Vocabulary {
    /// Reads a list of tokens, or an object from number to token, as FluidAudio 0.15.6 does.
    ///
    /// Throws `broken-bundle` for anything else. Source: `AsrModels.swift` `loadVocabulary`.
    public static func read(_ path: String) throws -> [Int: String] {
        let file = try ByteFile(path)
        let text = Data(try file.read(0, Int(min(file.bytes, longest))))
        var table: [(Int, String)] = []
        if let list = try? JSONDecoder().decode([String].self, from: text) {
            table = Array(zip(0..., list))
        } else if let named = try? JSONDecoder().decode([String: String].self, from: text) {
            table = named.compactMap { name, token in Int(name).map { ($0, token) } }
        }
        guard !table.isEmpty else {
            throw BridgeError(
                .brokenBundle, "`\(path)` is not a vocabulary: no list of tokens or map to tokens",
                hint: "`cachedoctor scan` says more, `cachedoctor fix` repairs it")
        }
        return Dictionary(table) { first, _ in first }
    }

    private static let longest: UInt64 = 16 << 20
}
