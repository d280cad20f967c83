import Foundation

let programName = "model.mil"
let weightsName = "weights/weight.bin"
let mostBlobs = 100_000
private let mostBlobFiles = 64
private let longestProgramBytes: UInt64 = 256 << 20

/// The files that `model.mil` refers to, and what is wrong with it.
struct Program {
    /// The weight files, in the order in which the program first names them.
    private(set) var names: [String] = []
    private(set) var fault: BundleFault?
    private var blobs: [String: Set<UInt64>] = [:]

    init(_ path: String) throws {
        let file = try ByteFile(path + "/" + programName)
        do {
            try checkHead(try file.read(0, headBytes), file.bytes)
            let text = try Data(
                contentsOf: URL(fileURLWithPath: path + "/" + programName), options: .alwaysMapped)
            try text.withUnsafeBytes { try read($0, file.bytes) }
        } catch let error as BundleFault {
            fault = error
        }
    }

    func offsets(in name: String) -> [UInt64] {
        blobs[name, default: []].sorted()
    }

    private mutating func read(_ text: UnsafeRawBufferPointer, _ bytes: UInt64) throws {
        var named = false
        var at = 0
        while let found = find("BLOBFILE", in: text, from: at) {
            named = true
            var scan = Scan(text, found)
            if let reference = scan.reference() {
                try add(reference)
                at = scan.at
            } else {
                at = found + 1
            }
        }
        if named && names.isEmpty {  // in an unknown spelling
            names = [weightsName]
        }
        if !isClosed(text) {
            throw BundleFault(
                .truncated, "ends inside the program", measured: bytes, member: programName)
        }
    }

    private mutating func add(_ reference: (name: String, offset: UInt64)) throws {
        let prefix = "@model_path/"
        let name =
            reference.name.hasPrefix(prefix)
            ? String(reference.name.dropFirst(prefix.count)) : reference.name
        let outside =
            name.hasPrefix("/") || name.unicodeScalars.contains("\0")
            || name.split(separator: "/", omittingEmptySubsequences: false).contains("..")
        if outside {
            let start = String(String.UnicodeScalarView(name.unicodeScalars.prefix(80)))
            throw malformed("refers to `\(start)`, outside the bundle")
        }
        if blobs[name] == nil { names.append(name) }
        blobs[name, default: []].insert(reference.offset)
        if blobs[name, default: []].count > mostBlobs || names.count > mostBlobFiles {
            throw malformed("refers to more blobs than a model has")
        }
    }
}

private func malformed(_ message: String) -> BundleFault {
    BundleFault(.malformed, message, member: programName)
}

private func checkHead(_ head: [UInt8], _ bytes: UInt64) throws {
    if head.isEmpty { throw BundleFault(.truncated, "is empty", measured: 0, member: programName) }
    guard head.starts(with: "program(".utf8.prefix(head.count)) else {
        throw wrongMagic(head, "a Core ML program", bytes: bytes, member: programName)
    }
    if bytes > longestProgramBytes {
        let most = longestProgramBytes >> 20
        throw malformed("is longer than the \(most) MiB allowed for a program")
    }
}

private func find(_ word: String, in text: UnsafeRawBufferPointer, from start: Int) -> Int? {
    let first = Int32(word.utf8.first ?? 0)
    var at = start
    while at < text.count,
        let place = memchr(text.baseAddress! + at, first, text.count - at)
    {
        at = UnsafeRawPointer(place) - text.baseAddress!
        if text[at...].starts(with: word.utf8) { return at }
        at += 1
    }
    return nil
}

/// Returns whether every bracket and quotation is closed and the text ends with a brace.
private func isClosed(_ text: UnsafeRawBufferPointer) -> Bool {
    var open = 0
    var quoted = false
    var last: UInt8 = 0
    var at = 0
    while at < text.count {
        let byte = text[at]
        at += 1
        if !isSpace(byte) { last = byte }
        switch byte {
        case UInt8(ascii: "\\"):
            guard at < text.count else { break }
            if [UInt8(ascii: "\\"), UInt8(ascii: "\"")].contains(text[at]) {
                last = text[at]
                at += 1
            }
        case UInt8(ascii: "\""): quoted.toggle()
        case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "("): open += quoted ? 0 : 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: ")"): open -= quoted ? 0 : 1
        default: break
        }
    }
    return open <= 0 && !quoted && last == UInt8(ascii: "}")
}

/// Scans `BLOBFILE(path = …("NAME"), offset = …(NUMBER))`, in either spelling of the types.
private struct Scan {
    private let text: UnsafeRawBufferPointer
    private(set) var at: Int

    init(_ text: UnsafeRawBufferPointer, _ start: Int) {
        self.text = text
        at = start
    }

    mutating func reference() -> (name: String, offset: UInt64)? {
        guard word("BLOBFILE"), word("(", spaced: true), word("path", spaced: true), typed()
        else { return nil }
        guard word("\"") else { return nil }
        let (quote, newline) = (UInt8(ascii: "\""), UInt8(ascii: "\n"))
        let name = take(512) { $0 != quote && $0 != newline }
        guard !name.isEmpty, word("\""), word(")", spaced: true), word(",", spaced: true),
            word("offset", spaced: true), typed()
        else { return nil }
        let digits = take(20) { (48...57).contains($0) }
        guard !digits.isEmpty, word(")", spaced: true) else { return nil }
        let number = UInt64(String(decoding: digits, as: UTF8.self)) ?? .max
        return (String(decoding: name, as: UTF8.self), number)
    }

    /// ` = TYPE(`, where a type has words, brackets, commas and spaces.
    private mutating func typed() -> Bool {
        guard word("=", spaced: true) else { return false }
        _ = take(40) { byte in
            isName(byte) || byte == 32 || "<>,[]".utf8.contains(byte)
        }
        guard word("(") else { return false }
        spaces()
        return true
    }

    private mutating func word(_ word: String, spaced: Bool = false) -> Bool {
        if spaced { spaces() }
        let bytes = word.utf8
        guard at + bytes.count <= text.count, text[at..<at + bytes.count].elementsEqual(bytes)
        else {
            return false
        }
        at += bytes.count
        return true
    }

    private mutating func spaces() {
        _ = take(8, isSpace)
    }

    private mutating func take(_ most: Int, _ matches: (UInt8) -> Bool) -> Slice<
        UnsafeRawBufferPointer
    > {
        let start = at
        while at < text.count, at - start < most, matches(text[at]) { at += 1 }
        return text[start..<at]
    }
}

private func isName(_ byte: UInt8) -> Bool {
    (97...122).contains(byte | 32) && byte >= 65 || (48...57).contains(byte)
        || byte == UInt8(ascii: "_")
}
