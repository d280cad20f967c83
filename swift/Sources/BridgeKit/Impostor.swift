// Files saved in place of a model. The same signs, in the same order, as in
// `cachedoctor/formats/__init__.py`; the shared table of cases keeps the two in step.

let headBytes = 512

private let htmlStarts = [
    "<!doctype html", "<html", "<head", "<body", "<!--", "<meta", "<title", "<script",
]
private let jsonErrors = [
    "{\"error", "{\"message\"", "{\"detail\"", "{\"statuscode\"", "{\"errors\"",
]
private let statuses = ["400", "401", "403", "404", "416", "429", "500", "502", "503", "504"]
private let plainErrors =
    statuses.flatMap { [$0 + " ", $0 + ":"] } + [
        "access denied", "access to model", "accessdenied", "bad gateway", "bad request",
        "entry not found", "error code", "forbidden", "found. redirecting", "gateway time",
        "internal server error", "invalid credentials", "invalid username or password",
        "no healthy upstream", "not found", "repository not found", "revision not found",
        "service unavailable", "temporary redirect", "too many requests", "unauthorized",
        "upstream ",
    ]
private let legacyTorch: [UInt8] = [
    0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19,
]
private let formats: [([UInt8], String)] = [
    ([0x50, 0x4b, 3, 4], "a zip archive"),
    ([0x50, 0x4b, 5, 6], "an empty zip archive"),
    (Array("GGUF".utf8), "a GGUF file"),
    (Array("lmgg".utf8), "a GGML file"),
    (legacyTorch, "a PyTorch checkpoint"),
    ([0x93] + Array("NUMPY".utf8), "a NumPy array"),
    ([0x89] + Array("HDF\r\n".utf8), "an HDF5 file"),
    ([0x1f, 0x8b, 8], "a gzip archive"),
    ([0x28, 0xb5, 0x2f, 0xfd], "a Zstandard archive"),
]

func isSpace(_ byte: UInt8) -> Bool {
    byte == 32 || (9...13).contains(byte)
}

private func isLetter(_ byte: UInt8) -> Bool {
    (97...122).contains(byte)
}

/// Returns whether the first 64 bytes are free of control characters; no weights are.
private func isText(_ head: [UInt8]) -> Bool {
    !head.isEmpty && head.prefix(64).allSatisfy { $0 >= 32 || (9...13).contains($0) }
}

extension Collection where Element == UInt8 {
    func begins(with text: String) -> Bool {
        starts(with: text.utf8)
    }
}

/// Returns what was saved instead, an error page or a pointer; `nil` if neither.
func foreign(_ head: [UInt8]) -> String? {
    guard isText(head) else { return nil }
    var text = head[...]
    if text.starts(with: [0xef, 0xbb, 0xbf]) { text = text.dropFirst(3) }
    text = text.drop(while: isSpace)
    while let last = text.last, isSpace(last) { text = text.dropLast() }
    let lower = text.map { (65...90).contains($0) ? $0 + 32 : $0 }
    if lower.begins(with: "version https://git-lfs") { return "a git-lfs pointer" }
    if lower.first == UInt8(ascii: "<"), lower.count > 1,
        isLetter(lower[1]) || lower[1] == UInt8(ascii: "!") || lower[1] == UInt8(ascii: "?")
    {
        let html =
            htmlStarts.contains { lower.begins(with: $0) }
            || lower.firstRange(of: "<html".utf8) != nil
            || lower.firstRange(of: "<!doctype html".utf8) != nil
        return html ? "an HTML page" : "an XML error body"
    }
    let squeezed = lower.prefix(64).filter { !isSpace($0) }
    if jsonErrors.contains(where: { squeezed.begins(with: $0) }) { return "a JSON error body" }
    if plainErrors.contains(where: { lower.begins(with: $0) }) { return "a plain-text error body" }
    return nil
}

/// The fault that names what a file is instead of `kind`.
func wrongMagic(_ head: [UInt8], _ kind: String, bytes: UInt64, member: String) -> BundleFault {
    let known = foreign(head) ?? formats.first { head.starts(with: $0.0) }?.1
    let message: String
    if let what = known ?? (isText(head) ? "plain text" : nil) {
        message = "is \(what), not \(kind)"
    } else if head.allSatisfy({ $0 == 0 }) {
        message = "begins with zeros, so it is not \(kind)"
    } else {
        message = "begins with `\(hex(head.prefix(8)))`, so it is not \(kind)"
    }
    return BundleFault(.wrongMagic, message, measured: bytes, member: member)
}

private func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { byte in
        let digits = String(byte, radix: 16)
        return byte < 16 ? "0" + digits : digits
    }.joined()
}
